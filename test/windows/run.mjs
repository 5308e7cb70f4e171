import { spawn } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';

/**
 * `npm run test:windows [-- --build]`: what is different on Windows, as one script for Node's own test runner. No part of
 * `npm test`, which runs elsewhere. With `--build` it is only written, to be run on another machine, with HEARTH_ROOT
 * naming the folder that holds `dist` and `node_modules`:
 *
 *   node --test windows.test.mjs
 */

const root = fileURLToPath(new URL('../..', import.meta.url));
const built = path.join(root, 'test/output/windows.test.mjs');
await esbuild.build({
  entryPoints: [fileURLToPath(new URL('windows.test.ts', import.meta.url))],
  outfile: built,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  conditions: ['hearth-source'],
  logLevel: 'warning',
});
if (process.argv.includes('--build')) process.stdout.write(`${path.relative(root, built)}\n`);
else {
  const run = spawn(process.execPath, ['--test', built], {
    env: { ...process.env, HEARTH_ROOT: root },
    stdio: 'inherit',
  });
  run.once('exit', (code) => (process.exitCode = code ?? 1));
}
