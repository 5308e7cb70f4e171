import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, expect } from 'vitest';
import { ActivityLogFile } from './activity-log.js';
import { AdminClient } from './admin-client.js';
import { allGone, descendants, type ProcessIdentity, processesNaming } from './processes.js';
import { RawClient } from './raw-client.js';
import { ceilingMs, until, within } from './wait.js';

/**
 * The real command line in processes of its own, each in a home and a runtime directory that nothing else uses.
 * Whatever a test starts is ended with it, and a process that is left over fails the test.
 */

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const hearth = path.join(root, 'server/bin/hearth.cjs');

/** Most output of one process that is kept, in characters. */
const outputBound = 4 * 1024 * 1024;

/** The mock engine's knobs, as `--mock` takes them. */
export interface Mock {
  readonly tokens?: readonly string[];
  readonly document?: string;
  readonly token_delay_ms?: number;
  readonly mid_stream_drop_after?: number;
  readonly pre_stream_error?: 'not_ready' | 'invalid_request' | 'unavailable' | 'internal';
  readonly ready_after_ms?: number;
  /** Answers by what the last turn holds. */
  readonly script?: readonly object[];
  readonly name?: string;
  readonly capabilities?: readonly string[];
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A home of its own: where a command line finds its directories, and what is searched for traces afterwards. */
export class Home {
  readonly root: string;
  readonly runtimeDir: string;
  readonly logDir: string;
  readonly home: string;

  constructor() {
    // Short, because the path of a socket may have no more than about a hundred bytes.
    this.root = fs.mkdtempSync(path.join(os.tmpdir(), 'hth-'));
    this.runtimeDir = path.join(this.root, 'run');
    this.logDir = path.join(this.root, 'log');
    this.home = path.join(this.root, 'home');
    for (const directory of [this.runtimeDir, this.logDir, this.home])
      fs.mkdirSync(directory, { mode: 0o700 });
  }

  get inferenceSocket(): string {
    return path.join(this.runtimeDir, 'hearth.sock');
  }

  get adminSocket(): string {
    return path.join(this.runtimeDir, 'admin.sock');
  }

  get rpcSocket(): string {
    return path.join(this.runtimeDir, 'rpc.sock');
  }

  get lockFile(): string {
    return path.join(this.runtimeDir, 'hearth.lock');
  }

  get log(): ActivityLogFile {
    return new ActivityLogFile(path.join(this.logDir, 'hearth.ndjson'));
  }

  /** An environment that holds nothing of whoever runs the tests. */
  environment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
    return {
      PATH: process.env['PATH'] ?? '',
      HOME: this.home,
      XDG_RUNTIME_DIR: path.join(this.root, 'xdg'),
      XDG_CONFIG_HOME: path.join(this.home, '.config'),
      XDG_CACHE_HOME: path.join(this.home, '.cache'),
      XDG_DATA_HOME: path.join(this.home, '.local/share'),
      XDG_STATE_HOME: path.join(this.home, '.local/state'),
      LANG: 'C.UTF-8',
      ...extra,
    };
  }

  remove(): void {
    fs.rmSync(this.root, { recursive: true, force: true });
  }
}

/** A running `hearth …`. */
export class HearthProcess {
  readonly home: Home;
  readonly child: ChildProcess;
  /** Resolves when the process has ended and its output is complete. */
  readonly exited: Promise<Exit>;
  #exit: Exit | undefined;
  #stdout = '';
  #stderr = '';
  #onOutput: (() => void)[] = [];

  constructor(
    home: Home,
    args: readonly string[],
    env: Readonly<Record<string, string>>,
    { script = hearth, descriptors, fileKibibytes }: Pick<ServeOptions, ProcessOption> = {},
  ) {
    this.home = home;
    const command = [process.execPath, script, ...args];
    // A limit can only be set before the program begins: Node raises what it may raise as it starts.
    const limits = [
      ...(descriptors === undefined ? [] : [`ulimit -n ${descriptors}`]),
      // POSIX counts this one in blocks of 512 bytes.
      ...(fileKibibytes === undefined ? [] : [`ulimit -f ${fileKibibytes * 2}`]),
    ];
    const limited = ['sh', '-c', [...limits, 'exec "$@"'].join(' && '), 'sh', ...command];
    const [program = '', ...rest] = limits.length === 0 ? command : limited;
    this.child = spawn(program, rest, {
      cwd: home.home,
      env,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout = (this.#stdout + text).slice(-outputBound);
      this.#announce();
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-outputBound);
      this.#announce();
    });
    // A process that is gone takes no input; its exit says so.
    this.child.stdin?.on('error', () => undefined);
    this.exited = once(this.child, 'close').then(([code, signal]: unknown[]) => {
      this.#exit = { code: code as number | null, signal: signal as NodeJS.Signals | null };
      this.#announce();
      return this.#exit;
    });
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error('the process did not start');
    return this.child.pid;
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  get hasExited(): boolean {
    return this.#exit !== undefined;
  }

  get log(): ActivityLogFile {
    return this.home.log;
  }

  /** Resolves when standard output holds `text`. */
  async printed(text: string, timeoutMs = ceilingMs): Promise<void> {
    const wait = async (): Promise<void> => {
      while (!this.#stdout.includes(text)) {
        if (this.#exit !== undefined) throw new Error(`ended before it printed ${text}\n${this.describe()}`);
        await new Promise<void>((resolve) => this.#onOutput.push(resolve));
      }
    };
    await within(wait(), () => `did not print ${text}\n${this.describe()}`, timeoutMs);
  }

  /** Waits for the end. */
  async end(timeoutMs = ceilingMs): Promise<Exit> {
    return within(this.exited, () => `hearth has not ended\n${this.describe()}`, timeoutMs);
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Asks it to end, and waits. */
  async stop(timeoutMs = ceilingMs): Promise<Exit> {
    if (!this.hasExited) this.signal('SIGTERM');
    return this.end(timeoutMs);
  }

  /** Ends it at once, as a crash would, and waits. */
  async crash(): Promise<Exit> {
    this.signal('SIGKILL');
    return this.end();
  }

  /** A connection to the inference socket as soon as that exists, which is when the daemon is ready. */
  async ready(): Promise<RawClient> {
    return this.#connect(() => RawClient.connect(this.home.inferenceSocket), 'the inference socket');
  }

  /** A new connection to the inference socket, which is there. */
  async connect(): Promise<RawClient> {
    return RawClient.connect(this.home.inferenceSocket);
  }

  /** A subscriber of the admin socket, as soon as that exists. */
  async admin(): Promise<AdminClient> {
    return this.#connect(() => AdminClient.connect(this.home.adminSocket), 'the admin socket');
  }

  describe(): string {
    const state = this.#exit === undefined ? 'runs' : `ended with ${this.#exit.code ?? this.#exit.signal}`;
    return `hearth ${state}\n--- stdout\n${this.#stdout.slice(-1500)}\n--- stderr\n${this.#stderr.slice(-3000)}`;
  }

  async #connect<T>(connect: () => Promise<T>, what: string): Promise<T> {
    const watcher = fs.watch(this.home.runtimeDir, { persistent: false });
    try {
      return await until(
        async () => {
          if (this.#exit !== undefined) throw new Error(`ended before ${what} was there\n${this.describe()}`);
          try {
            return await connect();
          } catch (error) {
            if (isAbsent(error)) return undefined;
            throw error;
          }
        },
        () => `${what} is not there\n${this.describe()}`,
        ceilingMs,
        watcher,
      );
    } finally {
      watcher.close();
    }
  }

  #announce(): void {
    const waiters = this.#onOutput;
    this.#onOutput = [];
    for (const wake of waiters) wake();
  }
}

/** Writes a configuration file into a home and gives the flags that name it. */
export function configured(home: Home, config: unknown): readonly string[] {
  const file = path.join(home.root, 'config.json');
  fs.writeFileSync(file, JSON.stringify(config));
  return ['--config', file];
}

/** Whether nobody listens there: the two answers that a client may retry on. */
export function isAbsent(error: unknown): boolean {
  return (
    error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ECONNREFUSED')
  );
}

export interface ServeOptions {
  /** One mock engine, or several in priority order. Default: the mock as it comes. */
  readonly mock?: Mock | readonly Mock[];
  /** Without the mock: the flags say which engine. */
  readonly plain?: boolean;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A home of an earlier process. Default: a new one. */
  readonly home?: Home;
  /** Another build's entry. Default: this build's. */
  readonly script?: string;
  /** Most descriptors that the process may have open. Default: whatever there is. */
  readonly descriptors?: number;
  /** Longest file that the process may write. Default: whatever there is. */
  readonly fileKibibytes?: number;
}

type ProcessOption = 'script' | 'descriptors' | 'fileKibibytes';

/** Starts processes and answers for their end. */
export interface Scope {
  makeHome(): Home;
  /** Runs `hearth` with these arguments exactly. */
  run(args: readonly string[], options?: Pick<ServeOptions, 'env' | 'home' | ProcessOption>): HearthProcess;
  /** Runs `hearth serve` and does not wait. */
  spawnServe(options?: ServeOptions): HearthProcess;
  /** Runs `hearth serve` and waits until it serves. */
  serve(options?: ServeOptions): Promise<HearthProcess>;
}

/**
 * A scope that ends with each test, or with the file: it stops what still runs, proves that nothing is left, and
 * removes the homes. Call it once at the top of a file or in a `describe`.
 */
export function hearthScope(lasts: 'test' | 'file'): Scope {
  let running: HearthProcess[] = [];
  let homes: Home[] = [];
  const finish = lasts === 'test' ? afterEach : afterAll;
  finish(async () => {
    const [processes, ended] = [running, homes];
    [running, homes] = [[], []];
    try {
      const children = processes.flatMap((one) => (one.hasExited ? [] : descendants(one.pid)));
      await Promise.all(processes.map(endAnyhow));
      await assertNothingLeft(children, ended);
    } finally {
      for (const home of ended) home.remove();
    }
  });

  const makeHome = (): Home => {
    const home = new Home();
    homes.push(home);
    return home;
  };
  const run: Scope['run'] = (args, options = {}) => {
    const home = options.home ?? makeHome();
    const started = new HearthProcess(home, args, home.environment(options.env), options);
    running.push(started);
    return started;
  };
  const spawnServe: Scope['spawnServe'] = (options = {}) => {
    const home = options.home ?? makeHome();
    const engine = options.plain ? [] : ['--engine', 'mock', '--mock', JSON.stringify(options.mock ?? {})];
    const args = [
      'serve',
      '--runtime-dir',
      home.runtimeDir,
      '--log-dir',
      home.logDir,
      ...engine,
      ...(options.args ?? []),
    ];
    const { env, script, descriptors, fileKibibytes } = options;
    return run(args, {
      home,
      ...(env === undefined ? {} : { env }),
      ...(script === undefined ? {} : { script }),
      ...(descriptors === undefined ? {} : { descriptors }),
      ...(fileKibibytes === undefined ? {} : { fileKibibytes }),
    });
  };
  return {
    makeHome,
    run,
    spawnServe,
    serve: async (options) => {
      const started = spawnServe(options);
      (await started.ready()).destroy();
      return started;
    },
  };
}

async function endAnyhow(one: HearthProcess): Promise<void> {
  if (one.hasExited) return;
  one.signal('SIGTERM');
  try {
    await one.end();
  } catch (error) {
    one.signal('SIGKILL');
    await one.exited;
    throw error;
  }
}

/** Fails where a process of these homes outlived them, and ends it. */
async function assertNothingLeft(
  children: readonly ProcessIdentity[],
  homes: readonly Home[],
): Promise<void> {
  const left = (): readonly ProcessIdentity[] => homes.flatMap((home) => processesNaming(`${home.root}/`));
  try {
    await allGone([...children, ...left()], 'processes of a test');
  } catch (error) {
    for (const { pid } of left()) process.kill(pid, 'SIGKILL');
    throw error;
  }
}

/** The middle of `values` in order. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = sorted[Math.floor(sorted.length / 2)];
  expect(middle).toBeDefined();
  return middle ?? Number.NaN;
}
