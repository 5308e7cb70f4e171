import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { Failure } from './console.mjs';

/**
 * Runs a program to its end. Its output is kept for the error message and offered line by line.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{
 *   cwd?: string,
 *   env?: NodeJS.ProcessEnv,
 *   onLine?: (line: string) => void,
 *   signal?: AbortSignal | undefined,
 *   keep?: number,
 * }} [options] keep: lines of output for the error message, the last 60 unless told
 * @returns {Promise<string>} its standard output
 */
export async function run(program, args, { cwd, env, onLine, signal, keep = 60 } = {}) {
  const child = spawn(program, args, { cwd, env, signal, stdio: ['ignore', 'pipe', 'pipe'] });
  /** @type {string[]} */
  const tail = [];
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    let rest = '';
    stream.setEncoding('utf8').on('data', (/** @type {string} */ chunk) => {
      if (stream === child.stdout) output += chunk;
      const lines = (rest + chunk).split(/\r?\n/);
      rest = lines.pop() ?? '';
      for (const line of lines) {
        tail.push(line);
        if (tail.length > keep) tail.shift();
        onLine?.(line);
      }
    });
    stream.on('end', () => rest !== '' && tail.push(rest));
  }
  const ended = await new Promise((resolve, reject) => {
    child.on('error', reject).on('close', (code, by) => {
      resolve(code ?? by);
    });
  });
  if (ended === 0) return output;
  const called = [path.basename(program), ...args].join(' ');
  throw new Failure(`${called} ended with ${ended}:\n${tail.join('\n')}`);
}

/** Settings that `npm run` leaves behind and that would steer an npm for another folder. */
export const leftByNpm =
  /^(npm_package_|npm_lifecycle_|npm_command|npm_config_(local_prefix|workspaces?|include_workspace_root|omit|include)$|INIT_CWD$)/i;

/**
 * Runs npm in a folder, with `node`.
 *
 * @param {readonly string[]} args
 * @param {{ cwd: string, node?: string, env?: NodeJS.ProcessEnv, onLine?: (line: string) => void,
 *   signal?: AbortSignal | undefined }} options node: the Node that npm and its scripts run on; this one if absent
 */
export async function npm(args, { node = process.execPath, env = {}, ...options }) {
  const inherited = Object.entries(process.env).filter(([name]) => !leftByNpm.test(name));
  await run(node, [npmProgram(), ...args, '--no-audit', '--no-fund', '--no-update-notifier'], {
    ...options,
    env: {
      ...Object.fromEntries(inherited),
      PATH: `${path.dirname(node)}${path.delimiter}${process.env.PATH ?? ''}`,
      ...env,
    },
  });
}

/** npm's own entry file, to run it on a Node of our choice. */
function npmProgram() {
  const prefix = path.dirname(process.execPath);
  const places = [
    process.env.npm_execpath,
    path.join(prefix, '../lib/node_modules/npm/bin/npm-cli.js'),
    path.join(prefix, 'node_modules/npm/bin/npm-cli.js'),
    ...(process.env.PATH ?? '').split(path.delimiter).map((folder) => path.join(folder, 'npm')),
  ];
  for (const place of places) {
    if (place === undefined || !existsSync(place)) continue;
    const real = realpathSync(place);
    if (path.basename(real) === 'npm-cli.js') return real;
  }
  throw new Failure('npm was not found. Install Node.js together with npm, then try again.');
}

/** @typedef {{ pid: number, parent: number, born: string }} ProcessInfo born: tells a process from a later one with its number */

/** @returns {ProcessInfo[]} every process that can be seen */
function processes() {
  if (process.platform === 'linux') {
    return readdirSync('/proc').flatMap((name) => {
      if (!/^\d+$/.test(name)) return [];
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        // The second field is the program's name in brackets, which may hold anything.
        const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        if (fields[0] === 'Z') return [];
        return [{ pid: Number(name), parent: Number(fields[1]), born: fields[19] ?? '' }];
      } catch {
        return []; // It ended while we looked.
      }
    });
  }
  const list = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,lstart='], { encoding: 'utf8' });
  return list.split('\n').flatMap((line) => {
    const match = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line);
    return match === null ? [] : [{ pid: Number(match[1]), parent: Number(match[2]), born: match[3] ?? '' }];
  });
}

/**
 * A process and everything that it started, and that those started.
 *
 * @param {number} pid
 * @returns {ProcessInfo[]}
 */
export function familyOf(pid) {
  const all = processes();
  const family = all.filter((one) => one.pid === pid);
  for (const member of family) family.push(...all.filter((one) => one.parent === member.pid));
  return family;
}

/**
 * Ends a process and its whole family, and waits until every one is gone: asks the process first, then whoever is
 * left, then insists.
 *
 * @param {number} pid
 * @param {{ graceMs?: number, hasten?: AbortSignal | undefined }} [options] graceMs: patience with each of the two requests
 */
export async function endFamily(pid, { graceMs = 8000, hasten } = {}) {
  const known = new Map(familyOf(pid).map((one) => [one.pid, one]));
  const alive = () => {
    const now = processes();
    for (const one of now) if (known.has(one.parent) && !known.has(one.pid)) known.set(one.pid, one);
    return now.filter((one) => known.get(one.pid)?.born === one.born);
  };
  const gone = async () => {
    const until = performance.now() + graceMs;
    // Grandchildren report their end to nobody of ours, so there is no event to wait for.
    while (performance.now() < until && hasten?.aborted !== true) {
      if (alive().length === 0) return true;
      await delay(50);
    }
    return alive().length === 0;
  };
  tell([pid], 'SIGTERM');
  if (await gone()) return;
  tell(
    alive().map((one) => one.pid),
    'SIGTERM',
  );
  if (await gone()) return;
  while (alive().length > 0) {
    tell(
      alive().map((one) => one.pid),
      'SIGKILL',
    );
    await delay(20);
  }
}

/**
 * @param {readonly number[]} pids
 * @param {NodeJS.Signals} signal
 */
function tell(pids, signal) {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended already.
    }
  }
}
