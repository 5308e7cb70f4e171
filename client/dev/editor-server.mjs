import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { Failure } from './console.mjs';
import { linkBuild, makeVsix } from './extension-package.mjs';
import { endFamily, leftByNpm, run } from './processes.mjs';

/** A VS Code of one's own, served to a browser by code-server, all of whose state lies in one folder. */

/**
 * @typedef {object} EditorOptions
 * @property {import('./code-server.mjs').CodeServer} codeServer
 * @property {string} directory holds all state: settings, extensions, logs. Made when absent
 * @property {string} workspace the folder to open, absolute
 * @property {boolean} [install] whether Hearth is installed into it, as from a VSIX. Default true
 * @property {boolean} [automation] VS Code's own switch for its automated tests: it takes a development extension
 *   and a test suite from the address, and shows no notification or dialog. Default false
 * @property {string} [home] home directory of the editor and what it starts. Default: the user's
 * @property {Readonly<Record<string, string>>} [env] more environment, for the extension and its sidecar too
 * @property {Readonly<Record<string, unknown>>} [settings] user settings, over those of {@link quietSettings}
 * @property {number} [port] 0 for any free one, the default
 * @property {AbortSignal} [signal] gives up starting
 *
 * @typedef {object} EditorServer
 * @property {string} authority such as `127.0.0.1:8080`
 * @property {string} url opens the workspace
 * @property {number} pid
 * @property {string} log file with what the server said
 * @property {Promise<string>} ended resolves when the server ends by itself, with the last it said
 * @property {(options?: { hasten?: AbortSignal }) => Promise<void>} stop ends it and everything it started, and waits
 */

/** An editor that asks nothing, fetches nothing and shows what there is to see. */
export const quietSettings = {
  'extensions.autoCheckUpdates': false,
  'extensions.autoUpdate': false,
  'extensions.ignoreRecommendations': true,
  'git.openRepositoryInParentFolders': 'never',
  'telemetry.telemetryLevel': 'off',
  'workbench.enableExperiments': false,
  'workbench.startupEditor': 'none',
};

/**
 * Starts the editor and waits until it answers.
 *
 * @param {EditorOptions} options
 * @returns {Promise<EditorServer>}
 */
export async function startEditorServer(options) {
  const { codeServer, directory, workspace, install = true, automation = false, port = 0, signal } = options;
  const user = path.join(directory, 'user');
  const extensions = path.join(directory, 'extensions');
  for (const folder of [path.join(user, 'User'), extensions]) mkdirSync(folder, { recursive: true });
  const settings = { ...quietSettings, ...options.settings };
  writeFileSync(path.join(user, 'User/settings.json'), `${JSON.stringify(settings, undefined, 2)}\n`);
  const environment = editorEnvironment(options);
  const places = ['--user-data-dir', user, '--extensions-dir', extensions];
  places.push('--config', path.join(directory, 'code-server.yaml'));
  places.push('--session-socket', path.join(directory, 'session.sock'));
  writeFileSync(path.join(directory, 'code-server.yaml'), 'auth: none\ncert: false\n');

  if (install) {
    const vsix = path.join(directory, 'hearth.vsix');
    await makeVsix({ folder: path.join(directory, 'packed'), out: vsix, complete: false, signal });
    const what = [codeServer.entry, ...places, '--force', '--install-extension', vsix];
    await run(codeServer.node, what, { env: environment, signal });
    linkBuild(extensions);
  }

  const quiet = ['--disable-telemetry', '--disable-update-check', '--disable-workspace-trust'];
  quiet.push('--disable-getting-started-override', '--auth', 'none');
  if (automation) quiet.push('--vscode-option', 'enable-smoke-test-driver');
  signal?.throwIfAborted();
  const child = spawn(
    codeServer.node,
    [codeServer.entry, ...places, ...quiet, '--bind-addr', `127.0.0.1:${port}`, workspace],
    // A group of its own, so that Ctrl-C reaches it through us, in order.
    { cwd: directory, env: environment, stdio: ['ignore', 'pipe', 'pipe'], detached: true },
  );
  const log = path.join(directory, 'code-server.log');
  const file = createWriteStream(log);
  let said = '';
  /** @type {Promise<string>} */
  const ended = new Promise((resolve) => {
    child.on('error', (error) => {
      resolve(error.message);
    });
    child.on('close', () => {
      file.end();
      resolve(said.slice(-3000));
    });
  });
  /** @type {Promise<string>} */
  const listening = new Promise((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (/** @type {string} */ chunk) => {
        file.write(chunk);
        said = (said + chunk).slice(-10_000);
        const address = /HTTP server listening on http:\/\/([\d.]+:\d+)/.exec(said)?.[1];
        if (address !== undefined) resolve(address);
      });
    }
  });
  const { pid } = child;
  /** @type {EditorServer['stop']} */
  const stop = async (how) => {
    if (pid !== undefined) await endFamily(pid, how);
    await ended;
  };
  try {
    const early = ended.then((last) => {
      throw new Failure(`The editor did not start:\n${last}`);
    });
    const authority = await Promise.race([listening, early, aborted(signal)]);
    const health = await fetch(`http://${authority}/healthz`, {
      signal: signal ?? AbortSignal.timeout(30_000),
    });
    if (!health.ok) throw new Failure(`The editor answers with ${health.status}. Its log: ${log}`);
    const url = `http://${authority}/?folder=${encodeURIComponent(workspace)}`;
    return { authority, url, pid: pid ?? 0, log, ended, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * The address that makes an editor with automation load a development extension and run its tests.
 *
 * @param {EditorServer} server
 * @param {{ extension: string, tests: string }} paths absolute: the extension's folder, and the file whose `run` runs the tests
 */
export function testUrl(server, { extension, tests }) {
  return withPayload(server, [
    ['extensionDevelopmentPath', remote(server, extension)],
    ['extensionTestsPath', remote(server, tests)],
  ]);
}

/**
 * The address that makes an editor with automation load a development extension beside those that are installed.
 *
 * @param {EditorServer} server
 * @param {string} extension its folder, absolute
 */
export function developmentUrl(server, extension) {
  return withPayload(server, [['extensionDevelopmentPath', remote(server, extension)]]);
}

/**
 * @param {EditorServer} server
 * @param {string} place
 */
function remote(server, place) {
  return `vscode-remote://${server.authority}${place}`;
}

/**
 * @param {EditorServer} server
 * @param {readonly (readonly [string, string])[]} entries
 */
function withPayload(server, entries) {
  const payload = [...entries, ['skipWelcome', 'true']];
  return `${server.url}&payload=${encodeURIComponent(JSON.stringify(payload))}`;
}

/**
 * Our environment without what npm, or an editor that this runs in a terminal of, has put there.
 *
 * @param {EditorOptions} options
 * @returns {NodeJS.ProcessEnv}
 */
function editorEnvironment({ home, env = {} }) {
  const foreign = /^(VSCODE_|ELECTRON_|NODE_OPTIONS$|PASSWORD$|HASHED_PASSWORD$|PORT$)/;
  const inherited = Object.entries(process.env).filter(
    ([name]) => !foreign.test(name) && !leftByNpm.test(name),
  );
  const own =
    home === undefined
      ? {}
      : {
          HOME: home,
          XDG_CONFIG_HOME: path.join(home, '.config'),
          XDG_DATA_HOME: path.join(home, '.local/share'),
          XDG_CACHE_HOME: path.join(home, '.cache'),
          XDG_STATE_HOME: path.join(home, '.local/state'),
        };
  if (home !== undefined) mkdirSync(home, { recursive: true, mode: 0o700 });
  return { ...Object.fromEntries(inherited), ...own, ...env };
}

/**
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<never>} rejects when it is aborted
 */
function aborted(signal) {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => {
      reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
    });
  });
}
