#!/usr/bin/env node
// The `hearth` command: the built sidecar, or a word on how to build it.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const built = new URL('../../dist/sidecar.mjs', import.meta.url);

if (existsSync(fileURLToPath(built))) {
  await import(built.href);
} else {
  process.stderr.write(
    'hearth: it has not been built yet. Run `npm start` or `npm run build` in its folder first.\n',
  );
  process.exitCode = 1;
}
