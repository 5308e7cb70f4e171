import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { step, Failure } from './console.mjs';
import { editorCache } from './paths.mjs';
import { npm } from './processes.mjs';

/**
 * Provides code-server: VS Code's own server, which serves the editor to a browser. It comes from npm, needs no
 * display and brings a real Node extension host.
 */

/** VS Code 1.123 and newer run on Node 24; the repository itself runs on the Node of the machine. */
const nodeVersion = '24.21.0';
const codeServerVersion = '4.139.1';
const nodePackage = `node-${process.platform}-${process.arch}`;
const place = path.join(editorCache, `code-server-${codeServerVersion}`);
const stampFile = path.join(place, 'provided.json');

/** @typedef {{ node: string, entry: string, logs: boolean }} CodeServer node: its Node program. entry: its main file. logs: whether log channels work */

/**
 * Downloads code-server once (about a minute, 800 MB on disk); later calls touch no network. A call that was
 * interrupted is taken up again by the next.
 *
 * @param {{ signal?: AbortSignal | undefined }} [options]
 * @returns {Promise<CodeServer>}
 */
export async function provideCodeServer({ signal } = {}) {
  const wanted = { codeServer: codeServerVersion, node: nodeVersion, platform: nodePackage };
  const stamp = readStamp();
  if (stamp !== undefined && Object.entries(wanted).every(([key, value]) => stamp[key] === value)) {
    return { node: String(stamp.nodeProgram), entry: entryFile(), logs: stamp.logs === true };
  }
  if (process.platform === 'win32') {
    throw new Failure(
      'The editor in the browser needs Linux or macOS. Use: npm start -- --desktop, or npm start -- --headless',
    );
  }
  mkdirSync(place, { recursive: true });
  const manifest = { name: 'hearth-editor', private: true, license: 'MIT' };
  writeFileSync(path.join(place, 'package.json'), JSON.stringify(manifest));
  const node = await provideNode(signal);
  // Scripts would compile half a dozen native packages, most of which nothing here uses.
  const quiet = ['--ignore-scripts', '--prefer-offline', '--loglevel=error', '--engine-strict=false'];
  const environment = nodeEnvironment(node);
  await step(`Downloading code-server ${codeServerVersion} (250 MB, once)`, async (note) => {
    const options = { node, env: environment, signal };
    await npm(['install', `code-server@${codeServerVersion}`, ...quiet], { cwd: place, ...options });
    // VS Code and its extensions inside it keep their own dependencies.
    const inner = path.join(place, 'node_modules/code-server/lib/vscode');
    note('its dependencies');
    await npm(['install', '--omit=dev', ...quiet], { cwd: inner, ...options });
    note('its extensions');
    await npm(['install', '--omit=dev', ...quiet], { cwd: path.join(inner, 'extensions'), ...options });
  });
  const logs = await compileLogging(node, environment, signal);
  const complete = { ...wanted, nodeProgram: node, logs };
  writeFileSync(`${stampFile}.part`, `${JSON.stringify(complete, undefined, 2)}\n`);
  renameSync(`${stampFile}.part`, stampFile);
  return { node, entry: entryFile(), logs };
}

/** @returns {Record<string, unknown> | undefined} */
function readStamp() {
  try {
    /** @type {unknown} */
    const stamp = JSON.parse(readFileSync(stampFile, 'utf8'));
    if (typeof stamp !== 'object' || stamp === null || !existsSync(entryFile())) return undefined;
    return { ...stamp };
  } catch {
    return undefined; // Absent, or cut short: provided anew.
  }
}

function entryFile() {
  return path.join(place, 'node_modules/code-server/out/node/entry.js');
}

/**
 * The Node that code-server wants: this one where it is of that version, else npm's package of it.
 *
 * @param {AbortSignal | undefined} signal
 */
async function provideNode(signal) {
  if (process.versions.node.split('.')[0] === nodeVersion.split('.')[0]) return process.execPath;
  const folder = path.join(editorCache, `node-${nodeVersion}`);
  const program = path.join(folder, 'node_modules', nodePackage, 'bin/node');
  const done = path.join(folder, 'provided');
  if (existsSync(done)) return program;
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    path.join(folder, 'package.json'),
    JSON.stringify({ name: 'hearth-editor-node', private: true }),
  );
  await step(`Downloading Node ${nodeVersion} for the editor (50 MB, once)`, async () => {
    try {
      const what = [
        `${nodePackage}@${nodeVersion}`,
        '--ignore-scripts',
        '--prefer-offline',
        '--loglevel=error',
      ];
      await npm(['install', ...what], { cwd: folder, signal });
    } catch (error) {
      if (!(error instanceof Failure) || !/E404|ETARGET|EBADPLATFORM/.test(error.message)) throw error;
      throw new Failure(
        `npm has no Node ${nodeVersion} for ${process.platform}-${process.arch}, which the editor in the browser runs on. ` +
          `Run npm start with Node 24 itself, or use: npm start -- --desktop, or npm start -- --headless`,
      );
    }
  });
  writeFileSync(done, '');
  return program;
}

/**
 * Native packages must be built against the headers of the Node that loads them; some machines' npm settings name
 * the headers of another.
 *
 * @param {string} node
 * @returns {NodeJS.ProcessEnv}
 */
function nodeEnvironment(node) {
  const home = path.resolve(path.dirname(node), '..');
  return existsSync(path.join(home, 'include/node')) ? { npm_config_nodedir: home } : {};
}

/**
 * VS Code writes its logs with a native package that npm delivers as source. Without a compiler all but the logs works.
 *
 * @param {string} node
 * @param {NodeJS.ProcessEnv} env
 * @param {AbortSignal | undefined} signal
 */
async function compileLogging(node, env, signal) {
  const cwd = path.join(place, 'node_modules/code-server/lib/vscode');
  try {
    await step('Compiling the editor’s logger (once)', () =>
      npm(
        [
          'rebuild',
          '@vscode/spdlog',
          '@vscode/native-watchdog',
          '--ignore-scripts=false',
          '--foreground-scripts',
        ],
        {
          cwd,
          node,
          env,
          signal,
        },
      ),
    );
    return true;
  } catch (error) {
    if (signal?.aborted === true) throw error;
    process.stdout.write(
      '  The editor’s logger could not be compiled, so its log channels stay empty; everything else works.\n' +
        '  For logs, install a C++ compiler, make and Python 3, and remove ' +
        `${path.relative(process.cwd(), stampFile)}.\n`,
    );
    return false;
  }
}

/** Removes everything that was downloaded for the editor. */
export function removeCodeServer() {
  rmSync(editorCache, { recursive: true, force: true });
}
