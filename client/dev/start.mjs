import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import process from 'node:process';
import { provideCodeServer } from './code-server.mjs';
import { complain, Failure, readFlags, say, step, total } from './console.mjs';
import { startEditorServer } from './editor-server.mjs';
import { install } from './install.mjs';
import { editorCache, inRoot, root } from './paths.mjs';
import { endFamily, run } from './processes.mjs';
import { startSidecar } from './sidecar.mjs';

/** `npm start`: everything from a bare clone to a model that answers inside VS Code. Ctrl-C ends all of it. */

const help = `npm start [-- FLAGS]

  (none)             serves VS Code to your browser, with Hearth in it
  --desktop          opens the VS Code that is installed here instead
  --headless         runs the sidecar alone
  --port N           the port of the editor in the browser (4480, or any free one)
  --runtime-dir DIR  where the sidecar keeps its sockets, instead of your own runtime directory
  --help             shows this
`;

/** Stays the same from start to start, because the browser keeps the editor's layout by its address. */
const usualPort = 4480;

/**
 * What was started, the latest last: ended in the opposite order.
 *
 * @type {((options: { hasten: AbortSignal }) => Promise<void>)[]}
 */
const running = [];

const stopping = new AbortController();
const hasten = new AbortController();
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.on(signal, () => {
    if (stopping.signal.aborted) hasten.abort();
    else stopping.abort(new Failure('Stopped.'));
  });
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!stopping.signal.aborted) {
    complain(error);
    process.exitCode = 1;
  }
}
// From here on, what ends does so because we end it.
stopping.abort();
if (running.length > 0) {
  say();
  await step('Ending what was started', async () => {
    for (const end of running.reverse()) await end({ hasten: hasten.signal });
  });
}
process.exit();

/** @param {readonly string[]} args */
async function main(args) {
  const { flags, rest } = readFlags('npm start --', args, {
    '--desktop': 'switch',
    '--headless': 'switch',
    '--port': 'value',
    '--runtime-dir': 'value',
    '--help': 'switch',
  });
  if (flags.has('--help')) {
    say(help);
    return;
  }
  if (rest.length > 0) throw new Failure(`npm start takes flags only, not ${rest.join(' ')}.\n\n${help}`);
  if (flags.has('--desktop') && flags.has('--headless'))
    throw new Failure('Give --desktop or --headless, not both.');
  const port = flags.get('--port');
  if (port !== undefined && !(Number(port) > 0 && Number(port) < 65_536))
    throw new Failure('--port needs a port number.');
  const desktop = findOnPath(process.platform === 'win32' ? 'code.cmd' : 'code');
  if (flags.has('--desktop') && desktop === undefined) {
    throw new Failure(
      "`code` is not on the PATH. In VS Code, run: Shell Command: Install 'code' command in PATH.",
    );
  }
  const inBrowser = !flags.has('--headless') && !flags.has('--desktop');
  const { signal } = stopping;

  await install({ signal });
  await step('Building', () => run(process.execPath, [inRoot('esbuild.mjs')], { cwd: root, signal }));
  const codeServer = inBrowser ? await provideCodeServer({ signal }) : undefined;

  const runtimeDir = flags.get('--runtime-dir');
  const sidecar = await step('Warming the model', (note) => startSidecar({ runtimeDir, signal, note }));
  running.push(sidecar.stop);
  if (!sidecar.ours) say('  A Hearth runs here already: it is shared, and goes on running afterwards.');

  const workspace = path.join(editorCache, 'start/hearth-sample');
  cpSync(inRoot('client/dev/sample'), workspace, { recursive: true, force: false });
  const sidecarEnd = sidecar.ended.then((/** @type {string | undefined} */ last) => {
    if (signal.aborted || last !== undefined || flags.has('--headless'))
      return last ?? 'The sidecar was stopped.';
    say('The sidecar has handed over to a newer build, which the editor started.');
    return aborted(signal);
  });
  const ends = [sidecarEnd];
  let editor = '';
  if (codeServer !== undefined) {
    const server = await step('Starting VS Code', async () =>
      startEditorServer({
        codeServer,
        directory: path.join(editorCache, 'start/editor'),
        workspace,
        env: { HEARTH_RUNTIME_DIR: sidecar.directory },
        settings: { 'workbench.startupEditor': 'readme' },
        port: port === undefined ? await freePort() : Number(port),
        signal,
      }),
    );
    running.push(server.stop);
    ends.push(server.ended);
    editor = server.url;
  } else if (desktop !== undefined && flags.has('--desktop')) {
    const window = openDesktop(desktop, workspace, sidecar.directory);
    running.push(window.stop);
    ends.push(window.ended);
    editor = 'the window that opens now';
  }

  const where = runtimeDir === undefined ? '' : ` --runtime-dir ${sidecar.directory}`;
  say(`\nHearth is ready (${total()}).\n`);
  if (editor !== '') say(`  Editor   ${editor}`);
  say(`  Socket   ${sidecar.socket}`);
  say(`  Try      npx hearth generate "Write a function that adds two numbers." --temperature 0${where}`);
  if (inBrowser && desktop !== undefined)
    say('  Desktop  npm start -- --desktop   opens the VS Code installed here');
  say('  Stop     Ctrl-C\n');

  const last = await Promise.race([...ends, aborted(signal)]);
  if (last !== undefined && !flags.has('--desktop'))
    throw new Failure(`What was started has ended:\n${last}`);
}

/**
 * @param {AbortSignal} signal
 * @returns {Promise<undefined>}
 */
function aborted(signal) {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener('abort', () => {
      resolve(undefined);
    });
  });
}

/**
 * Opens a window of the installed VS Code, with settings of its own, that runs the extension from this folder.
 *
 * @param {string} program
 * @param {string} workspace
 * @param {string} runtimeDirectory
 * @returns {{ ended: Promise<string>, stop: (options: { hasten: AbortSignal }) => Promise<void> }}
 */
function openDesktop(program, workspace, runtimeDirectory) {
  const user = path.join(editorCache, 'start/desktop');
  mkdirSync(user, { recursive: true });
  const flags = ['--new-window', '--wait', '--user-data-dir', user, `--extensionDevelopmentPath=${root}`];
  const child = spawn(program, [...flags, workspace], {
    stdio: 'ignore',
    detached: process.platform !== 'win32',
    shell: process.platform === 'win32',
    env: { ...process.env, HEARTH_RUNTIME_DIR: runtimeDirectory },
  });
  /** @type {Promise<string>} */
  const ended = new Promise((resolve) => {
    child.on('error', (error) => {
      resolve(error.message);
    });
    child.on('close', () => {
      resolve('The window was closed.');
    });
  });
  const { pid } = child;
  return {
    ended,
    stop: async (how) => {
      if (pid !== undefined) await endFamily(pid, how);
      await ended;
    },
  };
}

/** @param {string} name */
function findOnPath(name) {
  const places = (process.env.PATH ?? '').split(path.delimiter).map((folder) => path.join(folder, name));
  return places.find((place) => existsSync(place));
}

/** The usual port, or 0 for any other where something else has it. @returns {Promise<number>} */
function freePort() {
  return new Promise((resolve) => {
    const probe = createServer()
      .once('error', () => {
        resolve(0);
      })
      .listen(usualPort, '127.0.0.1', () => {
        probe.close(() => {
          resolve(usualPort);
        });
      });
  });
}
