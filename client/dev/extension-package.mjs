import {
  copyFileSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { complain, Failure, readFlags, say, since } from './console.mjs';
import { runtimePackages } from './dependencies.mjs';
import { inRoot, root } from './paths.mjs';
import { run } from './processes.mjs';

/**
 * Makes the VSIX, the file that VS Code installs an extension from:
 *
 *   node client/dev/extension-package.mjs [--out FILE]
 *
 * The bundles find their native packages in `dist/node_modules`, beside them. (vsce leaves out a node_modules at
 * the top, as everything else is bundled.)
 */

/** What VS Code calls this machine, as in `linux-x64`. */
export const target = `${process.platform}-${process.arch}`;

/** Fields of package.json that concern the repository, not the extension. */
const ofTheRepository = ['workspaces', 'scripts', 'devDependencies', 'overrides', 'private', 'allowScripts'];

/** What the packages carry for building and for reading, and nothing loads. */
const unused = [
  /^node_modules\/node-llama-cpp\/(llama\/(gitRelease\.bundle|addon|xpack|toolchains|profiles)|templates)(\/|$)/,
  /^node_modules\/koffi\/(doc|src|vendor)(\/|$)/,
  /^node_modules\/fs-native-extensions\/(src|include|binding\.c|CMakeLists\.txt)(\/|$)/,
  /\.(d\.[cm]?ts|map|md)$/,
  /\/node_modules\/.*\/node_modules$/,
];

/**
 * Lays the extension out in `folder`, as it is to lie when installed.
 *
 * @param {string} folder emptied first
 * @param {{ complete: boolean }} options complete: with the native packages, without source maps
 */
function stage(folder, { complete }) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(path.join(folder, 'dist'), { recursive: true });
  /** @type {Record<string, unknown>} */
  const manifest = JSON.parse(readFileSync(inRoot('package.json'), 'utf8'));
  for (const field of ofTheRepository) delete manifest[field];
  writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);

  const bundles = builtFiles();
  const wanted = complete ? bundles : bundles.flatMap((name) => [name, `${name}.map`]);
  const rest = [
    'media',
    'server/models',
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
    'PROTOCOL.md',
    'package.nls.json',
  ];
  for (const place of [...wanted.map((name) => `dist/${name}`), ...rest]) {
    if (existsSync(inRoot(place))) cpSync(inRoot(place), path.join(folder, place), { recursive: true });
  }
  if (complete) copyPackages(path.join(folder, 'dist'));
}

/** The bundles and the chunks that they lead to. Chunks of earlier builds may lie beside them. */
function builtFiles() {
  const files = ['extension.cjs', 'hearth.cjs', 'program.mjs', 'engine-worker.mjs'];
  for (const name of files) {
    if (!existsSync(inRoot('dist', name))) throw new Failure(`dist/${name} is missing. Run: npm run build`);
    const chunks = readFileSync(inRoot('dist', name), 'utf8').match(/chunk-[A-Z0-9]+\.mjs(?=["'])/g) ?? [];
    files.push(...new Set(chunks.filter((chunk) => !files.includes(chunk))));
  }
  return files;
}

/** @param {string} folder where node_modules is to be */
function copyPackages(folder) {
  for (const place of runtimePackages()) {
    cpSync(inRoot(place), path.join(folder, place), {
      recursive: true,
      filter: (source) => {
        const relative = path.relative(root, source).replaceAll(path.sep, '/');
        // Packages inside a package are in the list themselves.
        const inner = relative.slice(place.length + 1);
        return inner !== 'node_modules' && !unused.some((pattern) => pattern.test(relative));
      },
    });
  }
}

/**
 * Makes a VSIX from dist/.
 *
 * @param {{ folder: string, out: string, complete: boolean, signal?: AbortSignal | undefined }} options
 *   folder: for the files to pack, made anew. out: the VSIX. complete: to be given to others; without it, the
 *   native packages are missing, see {@link linkBuild}
 */
export async function makeVsix({ folder, out, complete, signal }) {
  stage(folder, { complete });
  const flags = [
    '--no-dependencies',
    '--allow-missing-repository',
    '--skip-license',
    '--no-rewrite-relative-links',
    '--out',
    out,
  ];
  // The README's pictures are in the package; there is no address of the repository to point them to.
  flags.push('--no-rewrite-relative-links');
  if (complete) flags.push('--target', target);
  await run(process.execPath, [inRoot('node_modules/@vscode/vsce/vsce'), 'package', ...flags], {
    cwd: folder,
    signal,
  });
}

/**
 * Makes an installed extension run this repository's build: the same file as `hearth serve` here, so that neither
 * takes the other for an older Hearth to be replaced, and with the native packages beside it. The extension itself is
 * no symbolic link, since VS Code knows an extension by the folder that its code was loaded from.
 *
 * @param {string} extensions the folder that extensions are installed in
 */
export function linkBuild(extensions) {
  const name = readdirSync(extensions).find((entry) => entry.startsWith('hearth.hearth-'));
  if (name === undefined) throw new Failure(`The extension was not installed in ${extensions}.`);
  const dist = path.join(extensions, name, 'dist');
  rmSync(dist, { recursive: true, force: true });
  mkdirSync(dist);
  for (const entry of readdirSync(inRoot('dist'))) {
    const from = inRoot('dist', entry);
    if (entry === 'extension.cjs') linkOrCopy(from, path.join(dist, entry));
    else symlinkSync(from, path.join(dist, entry), 'junction');
  }
}

/**
 * A second name for a file, which sees its next build too; on another disk a copy.
 *
 * @param {string} from
 * @param {string} to
 */
function linkOrCopy(from, to) {
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const from = performance.now();
  const folder = inRoot('dist/extension');
  try {
    const { flags } = readFlags('npm run package --', process.argv.slice(2), { '--out': 'value' });
    const out = path.resolve(flags.get('--out') ?? inRoot(`hearth-${target}.vsix`));
    await makeVsix({ folder, out, complete: true });
    say(`${path.relative(process.cwd(), out)} (${since(from)})`);
  } catch (error) {
    complain(error);
    process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
