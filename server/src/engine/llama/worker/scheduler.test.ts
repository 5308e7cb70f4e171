import type { JobClass } from '@hearth/protocol';
import { expect, test } from 'vitest';
import { rawRequest, requestFor } from '../testing.js';
import type { Driver, PreparedRequest, Sampler, Sequence, StepItem, StepOutcome } from './driver.js';
import type { GenerationResult, LoadedInfo, Piece, PromptProgress, RequestFailure } from './messages.js';
import { RequestError } from './request-error.js';
import { plainAnswer } from './prompting/answer/answer-plan.js';
import { Scheduler } from './scheduler.js';
import type { SchedulerOptions } from './scheduler.js';

/**
 * The scheduler over a driver that computes nothing. Each micro-batch ends when the test says so, and is written
 * down with who took part in it.
 */

/** What one sequence did in a micro-batch: `prefill 0:64` is sequence 0 with 64 tokens of prompt. */
type Work = string;

class FakeDriver implements Driver {
  readonly info: LoadedInfo = { contextSize: 1024, infill: false, threads: 1, driver: 'addon' };
  abilities = {
    mostThreads: 1,
    stepTokens: 64,
    promptTokens: 64,
    interrupts: false,
    copies: false,
    draftTokens: 0,
  };
  readonly embedder = undefined;
  readonly stateKey = '';
  readonly isSpent = false;
  readonly sequences: readonly FakeSequence[];
  /** Micro-batches that have ended. */
  readonly batches: Work[][] = [];
  /** Called when a micro-batch has begun, before it ends. */
  onBatch: (batch: readonly Work[]) => void = () => undefined;

  constructor(sequences: number) {
    this.sequences = Array.from({ length: sequences }, (_, index) => new FakeSequence(index));
  }

  /** A prompt of n letters is n tokens, the codes of its letters. */
  prepare({ input, sampling }: Parameters<Driver['prepare']>[0]): Promise<PreparedRequest> {
    if (input.kind !== 'raw') return Promise.reject(new RequestError('invalid_request', 'not raw'));
    return Promise.resolve({
      tokens: Array.from(input.prompt, (letter) => letter.codePointAt(0) ?? 0),
      stopTokens: new Set(),
      stopTexts: sampling.stop,
      answer: plainAnswer,
      grammarText: undefined,
      tokenizeMarks: () => [],
      sampling: { ...sampling, seed: 1 },
      grammar: undefined,
    });
  }

  tokenize(text: string): readonly number[] {
    return Array.from(text, (_, index) => index);
  }

  countTokens(text: string): number {
    return text.length;
  }

  detokenize(tokens: readonly number[]): string {
    return String.fromCodePoint(...tokens);
  }

  /** Those that were asked for; it has none. */
  threads = 1;

  setThreads(count: number): void {
    this.threads = count;
  }

  loseCalls(): void {
    // None is ever lost.
  }

  startSampling(): Sampler {
    return { end: () => Promise.resolve() };
  }

  async step(items: readonly StepItem[], _inPlaceMs?: number): Promise<readonly StepOutcome[]> {
    await new Promise(setImmediate);
    return this.evaluate(items);
  }

  /** A step without a turn of the event loop. */
  protected evaluate(items: readonly StepItem[]): readonly StepOutcome[] {
    const work = items.map(({ sequence, tokens, sampler }) => {
      const index = this.sequences.findIndex((one) => one === sequence);
      return sampler === undefined || tokens.length > 1
        ? `prefill ${index}:${tokens.length}`
        : `decode ${index}`;
    });
    this.onBatch(work);
    this.batches.push(work);
    return items.map(({ sequence, tokens, sampler }): StepOutcome => {
      const own = this.sequences.find((one) => one === sequence);
      const held = own?.append(tokens) ?? 0;
      if (sampler === undefined) return { kind: 'evaluated' };
      return { kind: 'sampled', tokens: [{ token: 0x61 + (held % 26) }], ended: false };
    });
  }

  interrupt(): void {
    // It cannot.
  }
}

class FakeSequence implements Sequence {
  readonly index: number;
  #held: number[] = [];

  constructor(index: number) {
    this.index = index;
  }

  tokens(): readonly number[] {
    return this.#held;
  }

  /** @returns how many tokens it holds then */
  append(tokens: readonly number[]): number {
    return this.#held.push(...tokens);
  }

  truncate(length: number): Promise<void> {
    this.#held = this.#held.slice(0, length);
    return Promise.resolve();
  }

  reset(): Promise<void> {
    return this.truncate(0);
  }

  /** How often something was copied here; only where the driver says that it copies. */
  copies = 0;

  copyFrom(other: Sequence, length: number): boolean {
    this.copies += 1;
    this.#held = other.tokens().slice(0, length);
    return true;
  }

  save(): undefined {
    return undefined;
  }

  load(): boolean {
    return false;
  }
}

interface Run {
  readonly driver: FakeDriver;
  readonly scheduler: Scheduler;
  readonly events: string[];
  readonly results: Map<number, GenerationResult | RequestFailure>;
  /** Resolves once every request has its outcome. */
  settled(...ids: readonly number[]): Promise<void>;
  submit(
    id: number,
    prompt: string,
    options?: { maxTokens?: number; credit?: number; stop?: string[]; class?: JobClass },
  ): void;
}

function start(sequences: number, driver = new FakeDriver(sequences), options: SchedulerOptions = {}): Run {
  const events: string[] = [];
  const results = new Map<number, GenerationResult | RequestFailure>();
  let changed = (): void => undefined;
  const end = (id: number, outcome: GenerationResult | RequestFailure): void => {
    results.set(id, outcome);
    changed();
  };
  const scheduler = new Scheduler(
    driver,
    {
      chunk: (id, piece) => events.push(`${id}:${inWords(piece)}`),
      done: (id, result) => {
        events.push(`${id} ${result.stopReason}`);
        end(id, result);
      },
      failed: (id, failure) => {
        events.push(`${id} ${failure.kind}`);
        end(id, failure);
      },
    },
    options,
  );
  return {
    driver,
    scheduler,
    events,
    results,
    async settled(...ids) {
      while (!ids.every((id) => results.has(id))) await new Promise<void>((resolve) => (changed = resolve));
    },
    submit(id, prompt, { maxTokens = 4, credit = 1000, stop = [], class: jobClass = 'chat' } = {}) {
      const request = { ...rawRequest(prompt, { maxTokens, stop }), class: jobClass };
      void scheduler.submit(id, request, credit);
    },
  };
}

test('given several sequences, when they decode, then each step is one batch of all of them', async () => {
  const run = start(3);
  for (const id of [1, 2, 3]) run.submit(id, 'x', { maxTokens: 5 });
  await run.settled(1, 2, 3);
  const full = run.driver.batches.filter((batch) => batch.length === 3);
  expect(full.length).toBeGreaterThanOrEqual(3);
});

function inWords(piece: Piece | PromptProgress): string {
  if (piece.kind === 'token') return piece.text;
  return piece.kind === 'prefill' ? `${Math.round(piece.progress * 100)} %` : piece.kind;
}

test('given a prompt of many steps, then its consumer hears twice a second how far it is, and keeps a credit', async () => {
  let clock = 0;
  const run = start(1, undefined, { now: () => clock });
  run.driver.onBatch = () => {
    clock += 200;
  };
  run.submit(1, 'x'.repeat(640), { maxTokens: 1 });
  await run.settled(1);
  expect(run.events).toEqual([
    '1:30 %',
    '1:60 %',
    '1:90 %',
    '1:100 %',
    expect.stringMatching(/^1:[a-z]$/),
    '1 length',
  ]);
  // What was read before is no part of it, and one credit is not spent on news.
  run.submit(2, 'y'.repeat(640), { maxTokens: 1, credit: 2 });
  await run.settled(2);
  expect(run.events.slice(6)).toEqual(['2:30 %', expect.stringMatching(/^2:[a-z]$/), '2 length']);
});

test('given a running stream, when a long prompt comes, then the stream decodes with each piece of it', async () => {
  const run = start(2);
  run.submit(1, 'x', { maxTokens: 1000 });
  run.driver.onBatch = () => {
    if (run.driver.batches.length === 2) run.submit(2, 'y'.repeat(640), { maxTokens: 1 });
  };
  await run.settled(2);
  const pieces = run.driver.batches.filter((batch) => batch.some((work) => work.startsWith('prefill 1:')));
  expect(pieces.length).toBeGreaterThanOrEqual(10);
  for (const batch of pieces) expect(batch).toContain('decode 0');
  run.scheduler.abort(1);
  await run.settled(1);
});

test('given a prompt in the background, then an interactive one that comes later is evaluated first', async () => {
  const run = start(2);
  run.submit(1, 'x'.repeat(640), { maxTokens: 1, class: 'background' });
  run.driver.onBatch = () => {
    if (run.driver.batches.length === 1)
      run.submit(2, 'y'.repeat(256), { maxTokens: 1, class: 'interactive' });
  };
  await run.settled(1, 2);
  const order = run.driver.batches.flat().map((work) => work[8]);
  const interactive = order.flatMap((sequence, index) => (sequence === '1' ? [index] : []));
  // Four pieces, with none of the other between them, and begun within two steps of its arrival.
  expect(interactive).toEqual(interactive.map((_, index) => (interactive[0] ?? 0) + index));
  expect(interactive[0]).toBeLessThanOrEqual(3);
  expect(run.events.findIndex((event) => event.startsWith('2 '))).toBeLessThan(
    run.events.findIndex((event) => event.startsWith('1 ')),
  );
});

test('given more requests than sequences, then an interactive one overtakes who waits in the background', async () => {
  const run = start(1);
  run.submit(1, 'x', { maxTokens: 50 });
  run.driver.onBatch = () => {
    if (run.driver.batches.length !== 1) return;
    run.submit(2, 'y', { class: 'background' });
    run.submit(3, 'z', { class: 'interactive' });
  };
  await run.settled(1, 2, 3);
  const ends = run.events.filter((event) => event.endsWith('length')).map((event) => event[0]);
  expect(ends).toEqual(['1', '3', '2']);
});

test('given a step that a busy core holds up, then it is given up and made again with one thread', async () => {
  const threads: number[] = [];
  let interrupt = (): void => undefined;
  /** Steps take no time with one thread, and as long as nobody interrupts with two, once ten have been made. */
  class HeldDriver extends FakeDriver {
    override readonly info = {
      contextSize: 1024,
      infill: false,
      threads: 2,
      choice: { threads: 2, narrowMs: 12, wideMs: 10 },
      driver: 'addon',
    } as const;
    override readonly abilities = {
      mostThreads: 2,
      stepTokens: 64,
      promptTokens: 64,
      interrupts: true,
      copies: false,
      draftTokens: 0,
    };
    override threads = 2;
    override async step(items: readonly StepItem[]): Promise<readonly StepOutcome[]> {
      threads.push(this.threads);
      if (this.threads === 1 || threads.length < 10) return super.step(items);
      await new Promise<void>((resolve) => (interrupt = resolve));
      return items.map(() => ({ kind: 'interrupted' }));
    }
    override interrupt(): void {
      interrupt();
    }
  }
  const run = start(1, new HeldDriver(1));
  run.submit(1, 'x', { maxTokens: 30 });
  await run.settled(1);
  expect(run.results.get(1)).toMatchObject({ stopReason: 'length', usage: { completion_tokens: 30 } });
  expect(threads.slice(0, 11)).toEqual([...Array<number>(10).fill(2), 1]);
});

/** A driver with two threads that can hold up the thread of the event loop. */
class InPlaceDriver extends FakeDriver {
  override readonly info = {
    contextSize: 1024,
    infill: false,
    threads: 2,
    choice: { threads: 2, narrowMs: 16, wideMs: 10 },
    driver: 'ffi',
  } as const;
  override readonly abilities = {
    mostThreads: 2,
    stepTokens: 64,
    promptTokens: 64,
    interrupts: true,
    inPlace: true,
    copies: false,
    draftTokens: 0,
  };
  override threads = 2;
}

test('given short steps, then they hold up the thread, and what comes is heard between them; long ones never do', async () => {
  let stepMs = 10;
  let clock = 0;
  const asked: (number | undefined)[] = [];
  class QuickDriver extends InPlaceDriver {
    /** At once: no turn of the event loop lies within a step. */
    override step(items: readonly StepItem[], inPlaceMs?: number): Promise<readonly StepOutcome[]> {
      clock += stepMs;
      asked.push(inPlaceMs);
      return Promise.resolve(this.evaluate(items));
    }
  }
  const run = start(1, new QuickDriver(1), { now: () => clock });
  // Heard in a turn of the event loop while the steps go on: without one in between, all 500 tokens would come first.
  run.submit(1, 'x', { maxTokens: 500 });
  while (run.events.length < 20) await new Promise(setImmediate);
  run.scheduler.abort(1);
  await run.settled(1);
  expect(run.results.get(1)).toMatchObject({ stopReason: 'cancelled' });
  expect(asked.length).toBeLessThan(100);
  // The prompt is never read so; nor is what takes four times the usual let go on.
  expect(asked.slice(0, 6)).toEqual([undefined, 40, 40, 40, 40, 40]);

  asked.length = 0;
  stepMs = 70;
  run.submit(2, 'x', { maxTokens: 60 });
  await run.settled(2);
  expect(asked.slice(-10)).toEqual(Array(10).fill(undefined));
});

test('given short steps, then the first token goes out before the second one is computed', async () => {
  let turns = 0;
  const turnsBefore: number[] = [];
  class QuickDriver extends InPlaceDriver {
    override step(items: readonly StepItem[]): Promise<readonly StepOutcome[]> {
      turnsBefore.push(turns);
      // What a step brings about goes out in the next turn of the event loop.
      setImmediate(() => (turns += 1));
      return Promise.resolve(this.evaluate(items));
    }
  }
  const run = start(1, new QuickDriver(1), { now: () => 0 });
  run.submit(1, 'x', { maxTokens: 3 });
  await run.settled(1);
  expect(turnsBefore).toEqual([0, 1, 2]);
});

test('given a step that held up the thread for too long, then it is made again with one thread', async () => {
  let clock = 0;
  const made: { readonly threads: number; readonly inPlaceMs: number | undefined }[] = [];
  class HeldDriver extends InPlaceDriver {
    override step(items: readonly StepItem[], inPlaceMs?: number): Promise<readonly StepOutcome[]> {
      made.push({ threads: this.threads, inPlaceMs });
      const isHeld = this.threads === 2 && made.length >= 10;
      clock += isHeld ? 41 : this.threads === 2 ? 10 : 16;
      return Promise.resolve(isHeld ? items.map(() => ({ kind: 'interrupted' })) : this.evaluate(items));
    }
  }
  const run = start(1, new HeldDriver(1), { now: () => clock });
  run.submit(1, 'x', { maxTokens: 20 });
  await run.settled(1);
  expect(run.results.get(1)).toMatchObject({ stopReason: 'length', usage: { completion_tokens: 20 } });
  expect(made.slice(8, 11)).toEqual([
    { threads: 2, inPlaceMs: 40 },
    { threads: 2, inPlaceMs: 40 },
    { threads: 1, inPlaceMs: undefined },
  ]);
  expect(made.at(-1)).toEqual({ threads: 1, inPlaceMs: Infinity });
});

test('given two long prompts, then they take turns, and share a step only where one of them ends', async () => {
  const run = start(2);
  run.submit(1, 'x'.repeat(200));
  run.submit(2, 'y'.repeat(200));
  await run.settled(1, 2);
  const prompts = run.driver.batches.map((batch) => batch.filter((work) => work.startsWith('prefill')));
  const shared = prompts.filter((batch) => batch.length > 1);
  expect(shared).toEqual([['prefill 0:8', 'prefill 1:8']]);
  expect(
    prompts
      .flat()
      .map((work) => work[8])
      .slice(0, 4),
  ).toEqual(['0', '1', '0', '1']);
});

test('given three prompts that begin alike, then one reads the begin, and each other one takes all of it over at once', async () => {
  const run = start(3);
  run.driver.abilities = { ...run.driver.abilities, copies: true };
  const begin = 'x'.repeat(500);
  for (const [index, end] of ['a', 'b', 'c'].entries()) run.submit(index, `${begin}${end.repeat(40)}`);
  await run.settled(0, 1, 2);
  const read = run.driver.batches.flat().filter((work) => work.startsWith('prefill'));
  const tokens = read.reduce((sum, work) => sum + Number(work.split(':')[1]), 0);
  // The begin once, with what the step that ends it reads beyond, and three ends.
  expect(tokens).toBeLessThan(500 + 3 * 40 + 10);
  expect(run.driver.sequences.map(({ copies }) => copies).toSorted()).toEqual([0, 1, 1]);
});

test('row 68, engine side: given an abort in prefill, then the micro-batch in progress is the last', async () => {
  const run = start(1);
  run.submit(1, 'x'.repeat(1000));
  run.driver.onBatch = () => {
    if (run.driver.batches.length === 2) run.scheduler.abort(1);
  };
  await run.settled(1);
  expect(run.driver.batches).toHaveLength(3);
  expect(run.results.get(1)).toMatchObject({ stopReason: 'cancelled', usage: { completion_tokens: 0 } });
});

test('row 66, engine side: given an abort in decode, then no text follows and the sequence serves who waits', async () => {
  const run = start(1);
  run.submit(1, 'x', { maxTokens: 1000 });
  run.submit(2, 'y');
  run.driver.onBatch = () => {
    if (run.driver.batches.length === 5) {
      run.scheduler.abort(1);
      run.events.push('aborted');
    }
  };
  await run.settled(1, 2);
  const after = run.events.slice(run.events.indexOf('aborted') + 1);
  expect(after[0]).toBe('1 cancelled');
  expect(after.at(-1)).toBe('2 length');
});

test('row 73, engine side: given no credit, then a sequence is not stepped until some comes, and others are', async () => {
  const run = start(2);
  run.submit(1, 'x', { maxTokens: 10, credit: 3 });
  run.submit(2, 'y', { maxTokens: 20 });
  await run.settled(2);
  expect(run.events.filter((event) => event.startsWith('1:'))).toHaveLength(3);
  expect(run.driver.batches.flat().filter((work) => work === 'decode 0')).toHaveLength(3);
  run.scheduler.addCredit(1, 7);
  await run.settled(1);
  expect(run.results.get(1)).toMatchObject({ usage: { completion_tokens: 10 } });
});

test('given no credit, then an abort still ends it', async () => {
  const run = start(1);
  run.submit(1, 'x', { credit: 0 });
  run.submit(2, 'y');
  run.scheduler.abort(1);
  await run.settled(1, 2);
  expect(run.events[0]).toBe('1 cancelled');
});

test('given several free sequences, then the one that holds most of the prompt is chosen', async () => {
  const run = start(2);
  run.submit(1, 'a'.repeat(100));
  run.submit(2, 'b'.repeat(100));
  await run.settled(1, 2);
  run.driver.batches.length = 0;
  run.submit(3, `${'b'.repeat(100)}cc`);
  await run.settled(3);
  expect(run.driver.batches[0]).toEqual(['prefill 1:2']);
});

test('given the very prompt again, then only its last token is evaluated', async () => {
  const run = start(1);
  run.submit(1, 'a'.repeat(100));
  await run.settled(1);
  run.driver.batches.length = 0;
  run.submit(2, 'a'.repeat(100));
  await run.settled(2);
  expect(run.driver.batches[0]).toEqual(['decode 0']);
});

test('given a full context, then a generation ends with length', async () => {
  const run = start(1);
  run.submit(1, 'a'.repeat(1020), { maxTokens: 100 });
  await run.settled(1);
  expect(run.results.get(1)).toMatchObject({ stopReason: 'length', usage: { completion_tokens: 4 } });
});

test('given a request that cannot be prepared, then it fails alone', async () => {
  const run = start(1);
  void run.scheduler.submit(1, requestFor({ kind: 'infill', prefix: 'x', suffix: '', files: [] }), 1);
  run.submit(2, 'x');
  await run.settled(1, 2);
  expect(run.events).toContain('1 invalid_request');
  expect(run.events.at(-1)).toBe('2 length');
});

test('closing ends everything, running and waiting, and then nothing is stepped', async () => {
  const run = start(1);
  run.submit(1, 'x', { maxTokens: 1000 });
  run.submit(2, 'y');
  await new Promise(setImmediate);
  await run.scheduler.close();
  await run.settled(1, 2);
  const { length } = run.driver.batches;
  await new Promise(setImmediate);
  expect(run.driver.batches).toHaveLength(length);
  expect(run.events.filter((event) => event.endsWith('cancelled'))).toHaveLength(2);
});
