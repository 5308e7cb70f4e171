#!/usr/bin/env node
// The `hearth` command: the built one, or a word on how to build it.
const { existsSync } = require('node:fs');
const path = require('node:path');

const built = path.join(__dirname, '../../dist/hearth.cjs');

if (existsSync(built)) {
  require(built);
} else {
  process.stderr.write(
    'hearth: it has not been built yet. Run `npm start` or `npm run build` in its folder first.\n',
  );
  process.exitCode = 1;
}
