import { spawn } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { Failure } from './console.mjs';
import { inRoot, root } from './paths.mjs';
import { endFamily } from './processes.mjs';

/** `hearth serve` for as long as `npm start` runs: the one daemon that the editor and the command line share. */

/** The exit code of a `serve` that found another daemon on the same lock. */
const alreadyRunning = 3;

/** As the extension starts it: a chat, ghost text beside it, and two clients more. */
const permits = '4';

/**
 * @typedef {object} Sidecar
 * @property {string} directory the runtime directory, which the editor's own sidecar is to use too
 * @property {string} socket the inference socket
 * @property {boolean} ours false where one ran already, which is used and left running
 * @property {Promise<string | undefined>} ended resolves when it ends by itself, with the last it said; with
 *   nothing where it ended well, which is when a newer build takes over
 * @property {(options?: { hasten?: AbortSignal }) => Promise<void>} stop
 */

/**
 * Starts the sidecar and waits until its model is warm.
 *
 * @param {{ runtimeDir?: string | undefined, signal?: AbortSignal | undefined, note?: (text: string) => void }} options
 *   runtimeDir: instead of the user's own. note: hears what it does while it loads
 * @returns {Promise<Sidecar>}
 */
export async function startSidecar({ runtimeDir, signal, note }) {
  const where = runtimeDir === undefined ? [] : ['--runtime-dir', path.resolve(runtimeDir)];
  signal?.throwIfAborted();
  const child = spawn(
    process.execPath,
    [inRoot('server/bin/hearth.cjs'), 'serve', '--active-permits', permits, ...where],
    {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own, so that Ctrl-C reaches it through us, in order.
      detached: true,
    },
  );
  let said = '';
  /** @type {Promise<number | null>} */
  const exit = new Promise((resolve) => {
    child.on('error', (error) => {
      said += error.message;
      resolve(null);
    });
    child.on('close', (code) => {
      resolve(code);
    });
  });
  /** @type {Promise<string>} */
  const ready = new Promise((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (/** @type {string} */ chunk) => {
        said = (said + chunk).slice(-10_000);
        const line = said.trimEnd().split('\n').at(-1) ?? '';
        note?.(line.replace(/^hearth: /, ''));
        const socket = /^hearth: inference socket (.+)$/m.exec(said)?.[1];
        if (socket !== undefined) resolve(socket);
      });
    }
  });
  const { pid } = child;
  /** @type {Sidecar['stop']} */
  const stop = async (how) => {
    if (pid !== undefined) await endFamily(pid, how);
    await exit;
  };
  const giveUp = new Promise((resolve) => {
    signal?.addEventListener('abort', () => {
      resolve(undefined);
    });
  });
  const first = await Promise.race([ready, exit, giveUp]);
  if (typeof first === 'string') {
    const ended = exit.then((code) => (code === 0 ? undefined : said.slice(-2000)));
    return { directory: path.dirname(first), socket: first, ours: true, ended, stop };
  }
  await stop();
  signal?.throwIfAborted();
  const held = /it holds (.+?)\. Use/.exec(said)?.[1];
  if (first !== alreadyRunning || held === undefined)
    throw new Failure(`The sidecar did not start:\n${said.trimEnd()}`);
  const directory = path.dirname(held);
  return {
    directory,
    socket: path.join(directory, 'hearth.sock'),
    ours: false,
    ended: new Promise(() => {}),
    stop: async () => {},
  };
}
