/**
 * Bundles the extension, the `hearth` command and the engine worker into dist/.
 *
 *   node esbuild.mjs [--watch] [--production]
 *
 * Packages with native code stay outside the bundles and are found in node_modules at run time.
 */
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
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
  sourcemap: true,
  sourcesContent: false,
};
const esm = { format: 'esm', banner: { js: requireBanner } };

/** CommonJS has no `import.meta.url`, and ECMAScript is what the sources are. */
const cjs = {
  format: 'cjs',
  define: { 'import.meta.url': 'hearthModuleUrl' },
  banner: { js: `const hearthModuleUrl = require('node:url').pathToFileURL(__filename).href;` },
};

/**
 * The command line loads what its command needs and no more. What commands share lies in chunks beside it, so that
 * `import.meta.url` finds the same neighbours everywhere.
 */
const inChunks = {
  splitting: true,
  outdir: 'dist',
  entryNames: '[name]',
  chunkNames: 'chunk-[hash]',
  outExtension: { '.js': '.mjs' },
};

/** What every `hearth` process starts with imports the command line from its own bundle, if it needs it at all. */
const programApart = {
  name: 'program-apart',
  /** @param {esbuild.PluginBuild} build */
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/cli\/program\.js$/ }, () => ({ path: './program.mjs', external: true }));
  },
};

const bundles = [
  { entry: 'client/src/extension.ts', outfile: 'dist/extension.cjs', format: 'cjs' },
  { entry: 'server/src/main.ts', outfile: 'dist/hearth.cjs', ...cjs, plugins: [programApart] },
  { entry: 'server/src/cli/program.ts', ...inChunks, ...esm },
  { entry: 'server/src/engine/llama/worker/main.ts', outfile: 'dist/engine-worker.mjs', ...esm },
];

const started = performance.now();
const present = bundles.filter(({ entry }) => existsSync(path.join(root, entry)));
const contexts = await Promise.all(
  present.map(({ entry, ...rest }) =>
    esbuild.context({ ...common, ...rest, metafile: true, entryPoints: [entry] }),
  ),
);

if (flags.includes('--watch')) {
  await Promise.all(contexts.map((context) => context.watch()));
  process.stdout.write('Watching the sources; Ctrl-C ends it.\n');
} else {
  // esbuild has printed what is wrong by the time a rebuild rejects.
  const results = await Promise.allSettled(contexts.map((context) => context.rebuild()));
  await Promise.all(contexts.map((context) => context.dispose()));
  if (results.some((result) => result.status === 'rejected')) process.exit(1);
  for (const { entry } of bundles) {
    if (!present.some((bundle) => bundle.entry === entry))
      fail(`dist/ is not complete: ${entry} is missing.`);
  }
  removeOldChunks(results.flatMap(({ value }) => Object.keys(value?.metafile?.outputs ?? {})));
  process.stdout.write(`Built dist/ in ${Math.round(performance.now() - started)} ms.\n`);
}

/**
 * Removes the chunks of earlier builds, save those of the last quarter of an hour: a process that was started from
 * them may still be loading. A production build leaves its own alone.
 *
 * @param {string[]} built paths of what this build wrote
 */
function removeOldChunks(built) {
  const folder = path.join(root, 'dist');
  for (const name of readdirSync(folder)) {
    if (!/^chunk-.*\.mjs(\.map)?$/.test(name) || built.includes(`dist/${name}`)) continue;
    const age = Date.now() - statSync(path.join(folder, name)).mtimeMs;
    if (production || age > 900_000) rmSync(path.join(folder, name), { force: true });
  }
}

/** @param {string} message @returns {never} */
function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
