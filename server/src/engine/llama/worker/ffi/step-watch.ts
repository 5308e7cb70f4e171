import { Worker } from 'node:worker_threads';

/**
 * Ends a decode that takes too long while it holds up the thread of the event loop, on which no timer fires meanwhile:
 * a thread of its own waits beside it, and sets the flag that the decode looks at. While steps follow each other it
 * wakes once in the time that a step is given, and in the pauses not at all.
 */
export class StepWatch {
  /** Not 0: the decode in progress is to end. Its memory is shared with the watching thread, and stays where it is. */
  readonly flag: Uint32Array;
  readonly #words: Int32Array;
  readonly #deadline: BigInt64Array;
  readonly #thread: Worker;
  #isAlive = true;

  constructor() {
    const memory = new SharedArrayBuffer(24);
    this.flag = new Uint32Array(memory, flagAt * 4, 1);
    this.#words = new Int32Array(memory, 0, 4);
    this.#deadline = new BigInt64Array(memory, 16, 1);
    this.#thread = new Worker(watching, {
      eval: true,
      workerData: memory,
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 },
    });
    this.#thread.unref();
    const gone = (): void => {
      this.#isAlive = false;
    };
    this.#thread.once('error', gone).once('exit', gone);
  }

  /** Whether somebody watches. */
  get isAlive(): boolean {
    return this.#isAlive;
  }

  /**
   * Runs `step`, whose flag is set if it takes longer than so many milliseconds.
   *
   * @param milliseconds At least 0; Infinity: it may take as long as it does.
   */
  during<Result>(milliseconds: number, step: () => Result): Result {
    if (!Number.isFinite(milliseconds)) return step();
    const words = this.#words;
    const end = process.hrtime.bigint() + BigInt(Math.ceil(milliseconds * 1e6));
    Atomics.store(this.#deadline, 0, end);
    Atomics.add(words, stepAt, 1);
    if (Atomics.load(words, sleepsAt) !== 0) Atomics.notify(words, stepAt);
    try {
      return step();
    } finally {
      Atomics.add(words, stepAt, 1);
      // It waits for the end of what it has ended.
      if (Atomics.load(words, flagAt) !== 0) Atomics.notify(words, stepAt);
    }
  }

  /** Ends the thread. */
  async close(): Promise<void> {
    this.#isAlive = false;
    await this.#thread.terminate();
  }
}

/** The words of the shared memory: the flag; how many steps have begun and ended; whether the watch sleeps. */
const [flagAt, stepAt, sleepsAt] = [0, 1, 2] as const;

/**
 * What the thread runs, as text, since the worker is one file. An odd number of begins and ends: a step is in progress. A
 * flag that is set a moment too late ends the next step in place of this one, and that is then made again.
 */
const watching = `
const { workerData } = require('node:worker_threads');
const words = new Int32Array(workerData, 0, 4);
const deadline = new BigInt64Array(workerData, 16, 1);
for (;;) {
  const seen = Atomics.load(words, ${stepAt});
  if (seen % 2 === 0) {
    Atomics.store(words, ${sleepsAt}, 1);
    Atomics.wait(words, ${stepAt}, seen);
    Atomics.store(words, ${sleepsAt}, 0);
    continue;
  }
  const left = Number(Atomics.load(deadline, 0) - process.hrtime.bigint()) / 1e6;
  if (left > 0) {
    Atomics.wait(words, ${stepAt}, seen, left);
  } else {
    if (Atomics.load(words, ${stepAt}) === seen) Atomics.store(words, ${flagAt}, 1);
    Atomics.wait(words, ${stepAt}, seen);
  }
}`;
