/**
 * Bundles the extension, the sidecar and the engine worker into dist/.
 *
 *   node esbuild.mjs [--watch] [--production]
 *
 * Packages with native code stay outside the bundles and are found in node_modules at run time.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';

const root = path.dirname(fileURLToPath(import.meta.url));
const known = ['--watch', '--production'];
const flags = process.argv.slice(2);
const wrong = flags.find((flag) => !known.includes(flag));
if (wrong !== undefined) fail(`esbuild.mjs does not know ${wrong}. It takes ${known.join(' and ')}.`);
const production = flags.includes('--production');

/** CommonJS dependencies inside an ECMAScript bundle call `require`, which such a module does not have. */
const requireBanner = `import { createRequire as hearthCreateRequire } from 'node:module';
const require = hearthCreateRequire(import.meta.url);`;

/** @type {esbuild.BuildOptions} */
const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20',
  conditions: ['hearth-source'],
  // ECMAScript builds first: the CommonJS (UMD) builds of some packages hide their requires from a bundler.
  mainFields: ['module', 'main'],
  external: ['vscode', 'node-llama-cpp', '@node-llama-cpp/*', 'koffi', 'fs-native-extensions'],
  minify: production,
  keepNames: true,
  sourcemap: true,
  sourcesContent: false,
};
const esm = { format: 'esm', banner: { js: requireBanner } };

const bundles = [
  { entry: 'client/src/extension.ts', outfile: 'dist/extension.cjs', format: 'cjs' },
  { entry: 'server/src/main.ts', outfile: 'dist/sidecar.mjs', ...esm },
  { entry: 'server/src/engine/llama/worker/main.ts', outfile: 'dist/engine-worker.mjs', ...esm },
];

const started = performance.now();
const present = bundles.filter(({ entry }) => existsSync(path.join(root, entry)));
const contexts = await Promise.all(
  present.map(({ entry, ...rest }) => esbuild.context({ ...common, ...rest, entryPoints: [entry] })),
);

if (flags.includes('--watch')) {
  await Promise.all(contexts.map((context) => context.watch()));
  process.stdout.write('Watching the sources; Ctrl-C ends it.\n');
} else {
  // esbuild has printed what is wrong by the time a rebuild rejects.
  const results = await Promise.allSettled(contexts.map((context) => context.rebuild()));
  await Promise.all(contexts.map((context) => context.dispose()));
  if (results.some((result) => result.status === 'rejected')) process.exit(1);
  for (const { entry, outfile } of bundles) {
    if (!present.some((bundle) => bundle.entry === entry))
      fail(`${outfile} was not built: ${entry} is missing.`);
  }
  process.stdout.write(`Built dist/ in ${Math.round(performance.now() - started)} ms.\n`);
}

/** @param {string} message @returns {never} */
function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
