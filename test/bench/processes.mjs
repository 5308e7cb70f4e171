import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

/** Real processes for measurements: daemons and sidecars of the built command line, each bench in a place of its own. */

const hearth = fileURLToPath(new URL('../../server/bin/hearth.cjs', import.meta.url));

/** Longest wait for anything, in milliseconds: a bench that hangs says so. */
const patienceMs = 180_000;

/** @type {Set<Place>} those that have not been removed yet */
const places = new Set();

// A bench that ends in the middle, by a fault or because nobody reads it any more, leaves no daemon behind.
process.once('exit', () => {
  for (const { children, root } of places) {
    for (const child of children) child.kill('SIGKILL');
    rmSync(root, { recursive: true, force: true });
  }
});

/** A directory for one bench: its runtime directory, its log and its home. */
export class Place {
  constructor() {
    this.root = mkdtempSync(path.join(os.tmpdir(), 'hb-'));
    this.run = path.join(this.root, 'run');
    mkdirSync(this.run, { mode: 0o700 });
    this.inference = path.join(this.run, 'hearth.sock');
    this.rpc = path.join(this.run, 'rpc.sock');
    this.said = '';
    /** @type {Set<import('node:child_process').ChildProcess>} */
    this.children = new Set();
    places.add(this);
  }

  /**
   * Starts `hearth …` here, with the mock engine.
   *
   * @param {string[]} args the command and its flags
   * @param {Record<string, unknown> | 'embedded'} [mock] knobs of the mock engine, or the embedded model in its place
   */
  start(args, mock = {}) {
    const [command = '', ...flags] = args;
    const place = ['--runtime-dir', this.run, '--log-dir', path.join(this.root, 'log')];
    const engine = mock === 'embedded' ? [] : ['--engine', 'mock', '--mock', JSON.stringify(mock)];
    const child = spawn(process.execPath, [hearth, command, ...place, ...engine, ...flags], {
      env: { PATH: process.env['PATH'] ?? '', HOME: this.root },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    // One that ends early takes no input; what awaited its answer says so.
    child.stdin.on('error', () => undefined);
    this.children.add(child);
    child.once('exit', () => this.children.delete(child));
    return child;
  }

  /**
   * Runs `hearth serve` and waits until it has said `until`; `said` then holds what it has said so far.
   *
   * @param {Record<string, unknown> | 'embedded'} [mock]
   * @param {string[]} [flags]
   * @param {RegExp} [until]
   */
  async serve(mock, flags = [], until = /ready/) {
    const child = this.start(['serve', ...flags], mock);
    this.said = '';
    const ready = new Promise((resolve, reject) => {
      child.stdout.on('data', (chunk) => {
        this.said += String(chunk);
        if (until.test(this.said)) resolve(undefined);
      });
      child.once('exit', () => reject(new Error('the daemon ended before it was ready')));
    });
    await within(ready, 'a ready daemon');
    return child;
  }

  /**
   * Runs `hearth serve` with a model and waits until it is ready.
   *
   * @param {string} file
   * @param {string[]} [flags]
   */
  async serveModel(file, flags = []) {
    const place = ['--runtime-dir', this.run, '--log-dir', path.join(this.root, 'log')];
    const child = spawn(process.execPath, [hearth, 'serve', ...place, '--model', file, ...flags], {
      env: { PATH: process.env['PATH'] ?? '', HOME: this.root },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.children.add(child);
    child.once('exit', () => this.children.delete(child));
    let said = '';
    const ready = new Promise((resolve, reject) => {
      child.stdout.on('data', (chunk) => {
        said += String(chunk);
        if (/ready/.test(said)) resolve(undefined);
      });
      child.once('exit', () => reject(new Error('the daemon ended before it was ready')));
    });
    await within(ready, 'a ready daemon');
    return child;
  }

  /** Ends what still runs, and removes everything. */
  async remove() {
    const ended = [...this.children].map((child) => {
      const exit = once(child, 'exit');
      child.kill('SIGTERM');
      return exit;
    });
    await within(Promise.all(ended), 'the end of the processes');
    rmSync(this.root, { recursive: true, force: true });
    places.delete(this);
  }
}

/**
 * Runs `body` with a place of its own, which goes away with it.
 *
 * @template T
 * @param {(place: Place) => Promise<T>} body
 */
export async function inPlace(body) {
  const place = new Place();
  try {
    return await body(place);
  } finally {
    await place.remove();
  }
}

/**
 * Asks over JSON-RPC, once, and gives the result.
 *
 * @param {{ input: import('node:stream').Readable, output: import('node:stream').Writable }} streams
 * @param {string} method
 * @param {unknown} [params]
 * @returns {Promise<any>}
 */
export function askRpc({ input, output }, method, params) {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, ...(params === undefined ? {} : { params }) });
  output.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  const answer = new Promise((resolve, reject) => {
    let text = '';
    const take = (/** @type {Buffer} */ chunk) => {
      text += chunk.toString('utf8');
      const start = text.indexOf('\r\n\r\n') + 4;
      const length = Number(/Content-Length: (\d+)/.exec(text)?.[1]);
      if (start < 4 || Buffer.byteLength(text.slice(start)) < length) return;
      input.off('data', take);
      // Hearth's answers here are plain ASCII: as many characters as bytes.
      resolve(JSON.parse(text.slice(start, start + length)).result);
    };
    input.on('data', take);
    input.once('close', () => reject(new Error(`no answer to ${method}`)));
  });
  return within(answer, `an answer to ${method}`);
}

/** @param {string} socketPath @returns {Promise<net.Socket>} */
export async function connect(socketPath) {
  const socket = net.connect(socketPath);
  await once(socket, 'connect');
  socket.on('error', () => undefined);
  return socket;
}

/** A connection of the inference protocol that hands every frame to `onFrame`. */
export class Client {
  /** @param {net.Socket} socket @param {(frame: any) => void} [onFrame] */
  constructor(socket, onFrame = () => undefined) {
    this.socket = socket;
    this.onFrame = onFrame;
    let rest = '';
    socket.setEncoding('utf8').on('data', (chunk) => {
      const lines = (rest + String(chunk)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.onFrame(JSON.parse(line));
    });
  }

  /** @param {string} path @param {(frame: any) => void} [onFrame] */
  static async open(path, onFrame) {
    return new Client(await connect(path), onFrame);
  }

  /** @param {...object} requests */
  send(...requests) {
    this.socket.write(requests.map((request) => `${JSON.stringify(request)}\n`).join(''));
  }

  /**
   * Resolves with the next frame for which `wanted` holds.
   *
   * @param {(frame: any) => boolean} wanted
   * @returns {Promise<any>}
   */
  next(wanted) {
    const before = this.onFrame;
    return within(
      new Promise((resolve) => {
        this.onFrame = (/** @type {any} */ frame) => {
          before(frame);
          if (!wanted(frame)) return;
          this.onFrame = before;
          resolve(frame);
        };
      }),
      'a frame',
    );
  }

  close() {
    this.socket.destroy();
  }
}

/** @param {string} id @param {object} [more] */
export function say(id, more = {}) {
  return { id, messages: [{ role: 'user', content: 'hello' }], ...more };
}

/** @param {any} frame */
export function isEnd(frame) {
  return frame.type === 'done' || frame.type === 'error';
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {string} what
 * @returns {Promise<T>}
 */
export async function within(promise, what) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come within ${patienceMs} ms`)), patienceMs);
  });
  try {
    return /** @type {T} */ (await Promise.race([promise, late]));
  } finally {
    clearTimeout(timer);
  }
}

/** Resident memory of a process in MiB. Linux only. @param {number} pid */
export function residentMiB(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

/** Processor time of a process in milliseconds, in steps of ten. Linux only. @param {number} pid */
export function processorMs(pid) {
  const fields = (readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1] ?? '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
