import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { ResolvedGeneration } from '@hearth/protocol';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { resolveModel } from '../../models/resolve-model.js';
import type { ModelSource } from '../../models/model-source.js';
import { makeTinyGguf, writeTinyGguf } from '../../models/testing/tiny-gguf.js';
import type { TinyGgufOptions } from '../../models/testing/tiny-gguf.js';
import { EngineFailure } from '../engine.js';
import type { EngineChunk } from '../engine.js';
import { LlamaEngine } from './llama-engine.js';
import type { LlamaEngineOptions } from './llama-engine.js';
import {
  bundleTestWorker,
  chatInput,
  collect,
  grammarRequest,
  rawRequest,
  reaches,
  requestFor,
} from './testing.js';
import type { TestWorker } from './testing.js';

/** The engine with real workers: the pilot where weights matter, a tiny random model elsewhere. */

// A worker starts in about half a second, on a busy machine in many.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

/** Set by the file beside this one that runs it all again on the other driver. */
const testDriver = process.env['HEARTH_TEST_DRIVER'] === 'addon' ? 'addon' : 'ffi';

let worker: TestWorker;
let folder: string;
const engines: LlamaEngine[] = [];
let shared: LlamaEngine | undefined;
const never = new AbortController().signal;

beforeAll(async () => {
  worker = await bundleTestWorker();
  folder = await mkdtemp(path.join(os.tmpdir(), 'hearth-engine-'));
});

afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.stop()));
});

afterAll(async () => {
  await shared?.stop();
  await worker.dispose();
  await rm(folder, { recursive: true, force: true });
});

function newEngine(source: ModelSource, options: Partial<LlamaEngineOptions> = {}): LlamaEngine {
  return new LlamaEngine({
    source,
    sequences: 2,
    workerPath: worker.path,
    driver: testDriver,
    ...options,
  });
}

/** An engine that ends with its test. */
function makeEngine(source: ModelSource, options: Partial<LlamaEngineOptions> = {}): LlamaEngine {
  const engine = newEngine(source, options);
  engines.push(engine);
  return engine;
}

async function startEngine(
  source: ModelSource,
  options: Partial<LlamaEngineOptions> = {},
): Promise<LlamaEngine> {
  const engine = makeEngine(source, options);
  engine.start();
  await expectReady(engine);
  return engine;
}

async function expectReady(engine: LlamaEngine): Promise<void> {
  expect(await reaches(engine, 'ready', 'failed')).toEqual({ kind: 'ready' });
}

/** The pilot for all tests that leave it as it was: a worker takes a second to start, and on the fallback two. */
async function sharedPilot(): Promise<LlamaEngine> {
  shared ??= newEngine(await pilot());
  shared.start();
  await expectReady(shared);
  return shared;
}

let models = 0;

async function tinyModel(options: TinyGgufOptions = {}): Promise<ModelSource> {
  models += 1;
  const file = path.join(folder, `tiny-${models}.gguf`);
  await writeTinyGguf(file, options);
  return resolveModel(file);
}

async function pilot(): Promise<ModelSource> {
  return resolveModel('pilot');
}

/** Begins a generation and reads until its first piece of text; gives the iterator, still running. */
async function begin(
  engine: LlamaEngine,
  request: ResolvedGeneration,
  signal: AbortSignal = never,
): Promise<AsyncIterator<EngineChunk, void>> {
  const iterator = engine.generate(request, signal)[Symbol.asyncIterator]();
  const first = await iterator.next();
  expect(first.value).toMatchObject({ kind: 'token' });
  return iterator;
}

async function failureOf(promise: Promise<unknown>): Promise<EngineFailure> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof EngineFailure)) throw new Error('no EngineFailure came', { cause: error });
  return error;
}

const prompt = 'function add(a, b) {';

describe('sampling with the pilot', () => {
  test('temperature 0 twice gives equal text, and other texts between do not change it', async () => {
    const engine = await startEngine(await pilot());
    const request = rawRequest(prompt, { maxTokens: 40 });
    const first = await collect(engine.generate(request, never));
    await collect(engine.generate(rawRequest('class Point {', { maxTokens: 20 }), never));
    const second = await collect(engine.generate(request, never));
    expect(first.text).not.toBe('');
    expect(second.chunks).toEqual(first.chunks);
    expect(first.usage).toEqual({ prompt_tokens: 8, completion_tokens: 40, cached_tokens: 0 });
    // All but the last token of the prompt, which is always evaluated again.
    expect(second.usage).toEqual({ ...first.usage, cached_tokens: 7 });
    expect(engine.tokensPerSecond).toBeGreaterThan(0);
  });

  test('a seed reproduces, another seed differs, and no seed differs each time', async () => {
    const engine = await sharedPilot();
    const run = (seed: number | undefined): Promise<string> =>
      collect(engine.generate(rawRequest(prompt, { temperature: 1.2, seed, maxTokens: 40 }), never)).then(
        ({ text }) => text,
      );
    const first = await run(7);
    expect(await run(7)).toBe(first);
    expect(await run(8)).not.toBe(first);
    const largest = 0xff_ff_ff_ff;
    expect(await run(largest)).toBe(await run(largest));
    expect(await run(undefined)).not.toBe(await run(undefined));
  });

  test('max_tokens ends with length after exactly so many tokens', async () => {
    const engine = await sharedPilot();
    for (const maxTokens of [1, 5]) {
      const { stopReason, usage } = await collect(engine.generate(rawRequest(prompt, { maxTokens }), never));
      expect({ stopReason, tokens: usage.completion_tokens }).toEqual({
        stopReason: 'length',
        tokens: maxTokens,
      });
    }
  });

  test('a stop text across token borders ends the text before it', async () => {
    const engine = await sharedPilot();
    const whole = await collect(engine.generate(rawRequest(prompt, { maxTokens: 40 }), never));
    const [first = '', second = '', third = '', fourth = ''] = whole.chunks;
    // From the middle of the second piece to the middle of the fourth.
    const stop =
      second.slice(Math.floor(second.length / 2)) + third + fourth.slice(0, Math.ceil(fourth.length / 2));
    expect(stop.length).toBeGreaterThan(third.length);
    const cut = await collect(engine.generate(rawRequest(prompt, { maxTokens: 40, stop: [stop] }), never));
    expect(cut.text).toBe(whole.text.slice(0, whole.text.indexOf(stop)));
    expect(cut.text.length).toBeLessThan((first + second + third).length);
    expect(cut.stopReason).toBe('end');
  });

  test('top_k 1 is greedy at any temperature: the cut reaches the sampler', async () => {
    const engine = await sharedPilot();
    const greedyText = await collect(engine.generate(rawRequest(prompt), never));
    const narrow = await collect(engine.generate(rawRequest(prompt, { temperature: 5, topK: 1 }), never));
    const minimum = await collect(engine.generate(rawRequest(prompt, { temperature: 5, minP: 1 }), never));
    const nucleus = await collect(engine.generate(rawRequest(prompt, { temperature: 5, topP: 0 }), never));
    const wide = await collect(engine.generate(rawRequest(prompt, { temperature: 5, seed: 1 }), never));
    expect([narrow.text, minimum.text, nucleus.text]).toEqual(Array(3).fill(greedyText.text));
    expect(wide.text).not.toBe(greedyText.text);
  });

  test('a grammar constrains; a bad one is refused and the next request is served', async () => {
    const engine = await sharedPilot();
    const grammar = 'root ::= "yes" | "no"';
    const { text, stopReason } = await collect(
      engine.generate(grammarRequest(prompt, grammar, { temperature: 1 }), never),
    );
    expect(['yes', 'no']).toContain(text);
    expect(stopReason).toBe('end');
    const bad = [
      'garbage ((( ',
      'root ::= root',
      'root ::= nobody',
      'other ::= "x"',
      'root ::= [',
      'root ::= "\\x"',
      '\u0000',
      `root ::= ${'('.repeat(30_000)}"a"${')'.repeat(30_000)}`,
    ];
    for (const wrong of bad) {
      const failure = await failureOf(collect(engine.generate(grammarRequest(prompt, wrong), never)));
      expect(failure.kind).toBe('invalid_request');
      expect(failure.message).toContain('grammar');
    }
    expect((await collect(engine.generate(rawRequest(prompt), never))).text).not.toBe('');
  });
});

test('a grammar that no token can meet fails its own request only, and its sequence serves again', async () => {
  const engine = await sharedPilot();
  const pid = engine.workerPid;
  const other = collect(engine.generate(rawRequest(prompt, { maxTokens: 200 }), never));
  for (const grammar of ['root ::= "\\x00"', 'root ::= "a" "\\x00"', 'root ::= "\\x00"']) {
    const failure = await failureOf(collect(engine.generate(grammarRequest(prompt, grammar), never)));
    expect(failure.kind).toBe('invalid_request');
    expect(failure.message).toContain('grammar');
  }
  expect((await other).usage.completion_tokens).toBe(200);
  const both = await Promise.all([1, 2].map(() => collect(engine.generate(rawRequest(prompt), never))));
  expect(both.map(({ usage }) => usage.completion_tokens)).toEqual([32, 32]);
  expect(engine.workerPid).toBe(pid);
});

test('a grammar that would never come back is refused with figures, and the engine goes on', async () => {
  const engine = await sharedPilot();
  const pid = engine.workerPid;
  const other = collect(engine.generate(rawRequest(prompt, { maxTokens: 100 }), never));
  for (const grammar of [
    'root ::= a{900}\na ::= b b b b\nb ::= "x"? | "y"? | "z"?',
    `root ::= ${'"a"? '.repeat(3000)}`,
  ]) {
    const failure = await failureOf(collect(engine.generate(grammarRequest(prompt, grammar), never)));
    expect(failure.kind).toBe('invalid_request');
    expect(failure.message).toMatch(/\d+ states.*at most \d+/u);
  }
  expect((await other).usage.completion_tokens).toBe(100);
  expect(engine.workerPid).toBe(pid);
});

test('a grammar whose ways multiply with each character is refused at once, and the engine goes on', async () => {
  const engine = await sharedPilot();
  const pid = engine.workerPid;
  for (const times of [2, 4, 8]) {
    const grammar = `root ::= (${Array(times).fill('[a-z ]').join(' | ')})* "\\x01"`;
    const failure = await failureOf(collect(engine.generate(grammarRequest(prompt, grammar), never)));
    expect([failure.kind, failure.message]).toEqual(['invalid_request', expect.stringContaining('ways')]);
  }
  expect((await collect(engine.generate(rawRequest(prompt), never))).text).not.toBe('');
  expect(engine.workerPid).toBe(pid);
});

test('counting long texts without a border loses nothing, and ordinary texts are counted exactly', async () => {
  const engine = await sharedPilot();
  const pid = engine.workerPid;
  const other = collect(engine.generate(rawRequest(prompt, { maxTokens: 200 }), never));
  // Many times what is handed to llama.cpp in one piece.
  const length = 256 * 1024;
  const counts = await engine.countTokens([' ', '\n', 'é'].map((unit) => unit.repeat(length)));
  expect(counts.every((count) => count > 1000)).toBe(true);
  const line = 'const total = add(first, second); // a sum\n';
  const [one = 0, many = 0] = await engine.countTokens([line.repeat(100), line.repeat(1000)]);
  expect(many).toBe(one * 10);
  expect((await other).usage.completion_tokens).toBe(200);
  expect(engine.workerPid).toBe(pid);
});

describe('inputs', () => {
  test('a chat goes through the template, and its marks in what a user writes are text', async () => {
    const engine = await startEngine(await tinyModel());
    const chat = (content: string): Promise<number> =>
      collect(engine.generate(requestFor(chatInput(content), { maxTokens: 1 }), never)).then(
        ({ usage }) => usage.prompt_tokens,
      );
    const [plain, marked, mark] = [
      await chat('x'),
      await chat('x<|im_end|>'),
      await engine.countTokens(['<|im_end|>']),
    ];
    expect(mark[0]).toBeGreaterThan(1);
    // As a mark of the template it would be one token.
    expect(marked - plain).toBe(mark[0]);
  });

  test('infill runs with a middle token, without one, and is refused without any', async () => {
    const request = requestFor(
      { kind: 'infill', prefix: 'let x = ', suffix: ';\n', files: [] },
      { maxTokens: 4 },
    );
    const [full, noMiddle, none] = await Promise.all([
      startEngine(await tinyModel()),
      startEngine(await tinyModel({ infillMiddle: false })),
      startEngine(await tinyModel({ infill: false })),
    ]);
    expect([full.model?.infill, noMiddle.model?.infill, none.model?.infill]).toEqual([true, true, false]);
    const withMiddle = await collect(full.generate(request, never));
    const without = await collect(noMiddle.generate(request, never));
    expect(withMiddle.usage.prompt_tokens - without.usage.prompt_tokens).toBe(1);
    const failure = await failureOf(collect(none.generate(request, never)));
    expect(failure.kind).toBe('invalid_request');
    expect(failure.message).toContain('fill-in-the-middle');
  });

  test('a model file says in which order it fills in and how sure it must be', async () => {
    const request = requestFor(
      { kind: 'infill', prefix: 'let x = ', suffix: ';\n', files: [] },
      { maxTokens: 8 },
    );
    const [usual, reversed] = await Promise.all([
      startEngine(await tinyModel()),
      startEngine(await tinyModel({ infillOrder: 'suffix-prefix-middle', confidence: [-0.5, -0.25] })),
    ]);
    // The fallback has no log-probabilities to compare with it, and claims none.
    const claimed = testDriver === 'ffi' ? [-0.5, -0.25] : undefined;
    expect([usual.model?.confidence, reversed.model?.confidence]).toEqual([undefined, claimed]);
    const one = await collect(usual.generate(request, never));
    const other = await collect(reversed.generate(request, never));
    expect(other.usage.prompt_tokens).toBe(one.usage.prompt_tokens);
    expect(other.text).not.toBe(one.text);
  });

  test('a long document is cut to fit an infill and leaves room for the answer', async () => {
    const engine = await startEngine(await tinyModel({ contextLength: 256 }));
    const long = 'some words of a long file\n'.repeat(2000);
    const { usage, stopReason } = await collect(
      engine.generate(
        requestFor({ kind: 'infill', prefix: long, suffix: long, files: [] }, { maxTokens: 30 }),
        never,
      ),
    );
    expect(usage.completion_tokens).toBe(30);
    expect(stopReason).toBe('length');
    expect(usage.prompt_tokens).toBeGreaterThan(200);
  });

  test('a prompt beyond the context is refused with the figures, a full context ends with length', async () => {
    const engine = await startEngine(await tinyModel({ contextLength: 256 }));
    expect(engine.model?.contextSize).toBe(256);
    const text = '0'.repeat(256);
    expect(await engine.countTokens([text, '', 'é'])).toEqual([256, 0, 2]);
    const failure = await failureOf(collect(engine.generate(rawRequest(text), never)));
    expect(failure.kind).toBe('invalid_request');
    expect(failure.message).toContain('256 tokens');
    const huge = await failureOf(collect(engine.generate(rawRequest('0'.repeat(1_000_000)), never)));
    expect(huge.message).toContain('more than 256');
    const { usage, stopReason } = await collect(
      engine.generate(rawRequest('0'.repeat(200), { maxTokens: 1000 }), never),
    );
    expect(stopReason).toBe('length');
    expect(usage).toMatchObject({ prompt_tokens: 200, completion_tokens: 56 });
    const last = await collect(engine.generate(rawRequest('0'.repeat(255), { maxTokens: 1000 }), never));
    expect(last.usage.completion_tokens).toBe(1);
  });

  test('random bytes come as well-formed text', async () => {
    const engine = await startEngine(await tinyModel({ printable: false }));
    const { text, usage } = await collect(
      engine.generate(rawRequest('x', { temperature: 1, seed: 1, maxTokens: 200 }), never),
    );
    expect(usage.completion_tokens).toBe(200);
    expect(/\p{Surrogate}/u.test(text)).toBe(false);
  });
});

describe('cancelling and sharing', () => {
  test('row 66, engine side: an abort in decode ends with cancelled, frees the sequence, and leaves the other stream alone', async () => {
    const engine = await startEngine(await tinyModel());
    const abort = new AbortController();
    const other = collect(engine.generate(rawRequest('other', { maxTokens: 100 }), never));
    const stream = await begin(engine, rawRequest('abc', { maxTokens: 200 }), abort.signal);
    abort.abort();
    const end = await stream.next();
    expect(end.value).toMatchObject({ kind: 'done', stopReason: 'cancelled' });
    expect((await stream.next()).done).toBe(true);
    expect((await other).usage.completion_tokens).toBe(100);
    const both = await Promise.all(
      ['abc', 'xyz'].map((text) => collect(engine.generate(rawRequest(text), never))),
    );
    expect(both.map(({ usage }) => usage.completion_tokens)).toEqual([32, 32]);
  });

  test('row 68, engine side: an abort in prefill ends before the prompt is through, and its sequence serves the next', async () => {
    const source = await tinyModel({ contextLength: 32_768 });
    const engine = await startEngine(source, { sequences: 1, contextSize: 32_768 });
    const abort = new AbortController();
    const order: string[] = [];
    const long = collect(engine.generate(rawRequest('0'.repeat(32_000)), abort.signal)).then((result) => {
      order.push('aborted');
      return result;
    });
    // Queued behind it on the only sequence, so it can only come first if the prefill went on to its end.
    const next = collect(engine.generate(rawRequest('abc'), never)).then((result) => {
      order.push('next');
      return result;
    });
    await engine.countTokens(['x']); // The worker has taken both.
    abort.abort();
    const ended = await long;
    expect(ended).toMatchObject({ stopReason: 'cancelled', text: '', usage: { completion_tokens: 0 } });
    expect((await next).usage.completion_tokens).toBe(32);
    expect(order).toEqual(['aborted', 'next']);
  });

  test('row 67, engine side: an abort while queued, before the start, and an early return all end the work', async () => {
    const engine = await startEngine(await tinyModel({ contextLength: 2048 }), { sequences: 1 });
    const running = await begin(engine, rawRequest('abc', { maxTokens: 2000 }));
    const abort = new AbortController();
    const queued = collect(engine.generate(rawRequest('queued'), abort.signal));
    await engine.countTokens(['x']);
    abort.abort();
    expect((await queued).stopReason).toBe('cancelled');
    expect(await collect(engine.generate(rawRequest('late'), abort.signal))).toMatchObject({
      stopReason: 'cancelled',
    });
    await running.return?.();
    expect((await collect(engine.generate(rawRequest('abc'), never))).usage.completion_tokens).toBe(32);
  });

  test('two at once interleave', async () => {
    const engine = await startEngine(await tinyModel());
    const order: string[] = [];
    const run = async (name: string): Promise<void> => {
      for await (const chunk of engine.generate(rawRequest(name, { maxTokens: 200 }), never)) {
        if (chunk.kind === 'token') order.push(name);
      }
    };
    await Promise.all([run('a'), run('b')]);
    const changes = order.filter((name, index) => index > 0 && name !== order[index - 1]).length;
    expect(changes).toBeGreaterThan(10);
  });

  test('row 73, engine side: a consumer that stops reading holds up its own stream only', async () => {
    const engine = await startEngine(await tinyModel({ contextLength: 2048 }));
    const slow = await begin(engine, rawRequest('slow', { maxTokens: 500 }));
    const fast = await collect(engine.generate(rawRequest('fast', { maxTokens: 500 }), never));
    expect(fast.usage.completion_tokens).toBe(500);
    // A second one on the same sequence: the slow stream is still where it was.
    await collect(engine.generate(rawRequest('again', { maxTokens: 500 }), never));
    let tokens = 1;
    for (;;) {
      const { value } = await slow.next();
      if (value?.kind !== 'token') {
        expect(value).toMatchObject({
          kind: 'done',
          stopReason: 'length',
          usage: { completion_tokens: 500 },
        });
        break;
      }
      tokens += 1;
    }
    expect(tokens).toBeGreaterThan(400);
  });
});

describe('the end of a worker', () => {
  test('kill -9 mid-stream: the stream fails, the engine starts again and serves', async () => {
    const engine = await startEngine(await tinyModel({ contextLength: 2048 }), {
      restart: { firstDelayMs: 10 },
    });
    const stream = await begin(engine, rawRequest('abc', { maxTokens: 2000 }));
    const pid = engine.workerPid ?? 0;
    const restarting = reaches(engine, 'restarting');
    process.kill(pid, 'SIGKILL');
    const failure = await failureOf(drain(stream));
    expect(failure.kind).toBe('crashed');
    expect(await restarting).toMatchObject({ attempt: 1, delayMs: 10 });
    await expectReady(engine);
    expect(engine.workerPid).not.toBe(pid);
    expect((await collect(engine.generate(rawRequest('abc'), never))).usage.completion_tokens).toBe(32);
  });

  test.skipIf(process.platform === 'win32')('a worker that stands still is found and replaced', async () => {
    const engine = await startEngine(await tinyModel({ contextLength: 2048 }), {
      restart: { firstDelayMs: 10 },
      hangTimeoutMs: 2000,
    });
    const stream = await begin(engine, rawRequest('abc', { maxTokens: 2000 }));
    process.kill(engine.workerPid ?? 0, 'SIGSTOP');
    expect((await failureOf(drain(stream))).kind).toBe('hung');
    await expectReady(engine);
    expect((await collect(engine.generate(rawRequest('abc'), never))).usage.completion_tokens).toBe(32);
  });

  test('row 117: after three restarts the engine gives up and says why', async () => {
    const engine = await startEngine(await tinyModel(), { restart: { firstDelayMs: 1 } });
    for (const attempt of [1, 2, 3]) {
      const restarting = reaches(engine, 'restarting');
      process.kill(engine.workerPid ?? 0, 'SIGKILL');
      expect(await restarting).toMatchObject({ attempt });
      await expectReady(engine);
    }
    const failed = reaches(engine, 'failed');
    process.kill(engine.workerPid ?? 0, 'SIGKILL');
    expect(await failed).toMatchObject({ code: 'engine_crashed' });
    expect((await failureOf(collect(engine.generate(rawRequest('a'), never)))).kind).toBe('not_ready');
  });

  test('row 120: stop ends running streams and the worker, and nothing comes back', async () => {
    const engine = await startEngine(await tinyModel({ contextLength: 2048 }), {
      restart: { firstDelayMs: 1 },
    });
    const stream = await begin(engine, rawRequest('abc', { maxTokens: 2000 }));
    const pid = engine.workerPid ?? 0;
    const ended = drain(stream).catch((error: unknown) => error);
    await engine.stop();
    await ended;
    expect(isAlive(pid)).toBe(false);
    expect(engine.state).toEqual({ kind: 'stopped' });
    expect(engine.workerPid).toBeUndefined();
  });

  test.skipIf(process.platform === 'win32')('row 120: a worker that does not listen is killed', async () => {
    const engine = await startEngine(await tinyModel(), { stopTimes: { politeMs: 50, termMs: 50 } });
    const pid = engine.workerPid ?? 0;
    process.kill(pid, 'SIGSTOP');
    await engine.stop();
    expect(isAlive(pid)).toBe(false);
  });

  test('stop while loading leaves nothing', async () => {
    const engine = makeEngine(await pilot());
    engine.start();
    await reaches(engine, 'loading');
    await engine.stop();
    expect(engine.state.kind).toBe('stopped');
    expect(engine.workerPid).toBeUndefined();
  });
});

describe('loading', () => {
  test('the phases come in order, and progress only rises', async () => {
    const engine = makeEngine(await pilot());
    const phases: string[] = [];
    const progress: number[] = [];
    engine.events.on('phase', (phase) => {
      if (phases.at(-1) !== phase.phase) phases.push(phase.phase);
      if (phase.phase === 'mmap') progress.push(phase.progress ?? 0);
    });
    engine.start();
    engine.start();
    await expectReady(engine);
    expect(phases).toEqual(['checking_local', 'verify', 'mmap', 'kv_cache']);
    expect(progress).toEqual(progress.toSorted((one, other) => one - other));
    expect(engine.model).toMatchObject({ id: 'hearth-pilot-v1', contextSize: 2048, infill: true });
  });

  test('before it is loaded, requests are refused as not ready', async () => {
    const engine = makeEngine(await pilot());
    expect((await failureOf(collect(engine.generate(rawRequest('a'), never)))).kind).toBe('not_ready');
    expect((await failureOf(engine.countTokens(['a']))).kind).toBe('not_ready');
  });

  /** How the load of a bad file ends; its reason never holds the path. */
  async function reasonFor(source: ModelSource): Promise<string> {
    const engine = makeEngine(source);
    engine.start();
    const state = await reaches(engine, 'failed', 'ready');
    if (state.kind !== 'failed') throw new Error('a bad model was loaded');
    expect(state.reason).not.toContain(folder);
    await expect.poll(() => engine.workerPid, { timeout: 60_000 }).toBeUndefined();
    return `${state.code}: ${state.reason}`;
  }

  const at = (file: string): ModelSource => ({ id: 'x', displayName: 'x', path: file, sizeBytes: 1 });

  test('what is no model fails with its reason, without a restart', async () => {
    const garbage = path.join(folder, 'garbage.gguf');
    await writeFile(garbage, 'this is no model'.repeat(100));
    const cut = await tinyModel();
    await truncate(cut.path, 200_000);
    const wrongSum = { ...(await tinyModel()), sha256: '0'.repeat(64) };
    expect(await reasonFor(at(folder))).toMatch(/^model_load_failed: .*directory/u);
    expect(await reasonFor(at(path.join(folder, 'absent')))).toMatch(/^model_not_found: /u);
    expect(await reasonFor(at(garbage))).toMatch(/^model_load_failed: .*GGUF/u);
    expect(await reasonFor(cut)).toMatch(/^model_load_failed: .*too early/u);
    expect(await reasonFor(wrongSum)).toMatch(/^model_load_failed: .*checksum/u);
  });

  test('what only llama.cpp can refuse fails with its reason too', async () => {
    const file = path.join(folder, 'foreign.gguf');
    const bytes = makeTinyGguf();
    bytes.write('llamx', bytes.indexOf('llama', bytes.indexOf('general.architecture')));
    await writeFile(file, bytes);
    expect(await reasonFor(at(file))).toMatch(/^model_load_failed: .*"llamx"/u);
    const lacking = path.join(folder, 'lacking.gguf');
    const broken = makeTinyGguf();
    broken.write('blk.9', broken.indexOf('blk.1.'));
    await writeFile(lacking, broken);
    expect(await reasonFor(at(lacking))).toMatch(/^model_load_failed: .*could not load/u);
  });
});

async function drain(stream: AsyncIterator<EngineChunk, void>): Promise<void> {
  while ((await stream.next()).done !== true);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
