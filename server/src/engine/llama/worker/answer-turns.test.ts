import { expect, test } from 'vitest';
import { rawRequest } from '../testing.js';
import type { Driver, PreparedRequest, Sampler, Sequence, StepItem, StepOutcome } from './driver.js';
import type { GenerationResult, RequestFailure } from './messages.js';
import { plainAnswer } from './prompting/answer/answer-plan.js';
import type { AnswerPlan } from './prompting/answer/answer-plan.js';
import { hermes } from './prompting/answer/dialect.js';
import { Scheduler } from './scheduler.js';

/**
 * Answers that turn: what the scheduler does where a reader wants an answer to go on another way. The model here
 * writes one text as long as it is free, and another once a grammar holds. Tokens are characters.
 */

interface Script {
  readonly free: string;
  readonly bound?: string;
  /** A model that cannot forget a part of what it has read. */
  readonly recurrent?: boolean;
}

class ScriptedSampler implements Sampler {
  readonly grammar: boolean;
  readonly text: string;
  place = 0;

  constructor(text: string, grammar: boolean) {
    this.text = text;
    this.grammar = grammar;
  }

  end(): Promise<void> {
    return Promise.resolve();
  }
}

class ScriptedSequence implements Sequence {
  readonly #recurrent: boolean;
  held: number[] = [];

  constructor(recurrent: boolean) {
    this.#recurrent = recurrent;
  }

  tokens(): readonly number[] {
    return this.held;
  }

  truncate(length: number): Promise<void> {
    if (length < this.held.length) this.held = this.#recurrent ? [] : this.held.slice(0, length);
    return Promise.resolve();
  }

  reset(): Promise<void> {
    return this.truncate(0);
  }

  copyFrom(): boolean {
    return false;
  }

  save(): undefined {
    return undefined;
  }

  load(): boolean {
    return false;
  }
}

class ScriptedDriver implements Driver {
  readonly info = { contextSize: 1024, infill: false, threads: 1, driver: 'addon' } as const;
  readonly abilities = {
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
  readonly sequences: readonly [ScriptedSequence];
  readonly #plan: AnswerPlan;
  readonly #script: Script;
  /** What the model had read, each time that it began to write. */
  readonly beginnings: string[] = [];

  constructor(plan: AnswerPlan, script: Script) {
    this.#plan = plan;
    this.#script = script;
    this.sequences = [new ScriptedSequence(script.recurrent === true)];
  }

  prepare({ input, sampling }: Parameters<Driver['prepare']>[0]): Promise<PreparedRequest> {
    return Promise.resolve({
      tokens: this.tokenize(input.kind === 'raw' ? input.prompt : ''),
      stopTokens: new Set<number>(),
      stopTexts: sampling.stop,
      sampling: { ...sampling, seed: 1 },
      grammar: { driver: 'grammar' },
      grammarText: 'grammar',
      answer: this.#plan,
      tokenizeMarks: (text) => this.tokenize(text),
    });
  }

  tokenize(text: string): readonly number[] {
    return Array.from(text, (character) => character.codePointAt(0) ?? 0);
  }

  countTokens(text: string): number {
    return text.length;
  }

  detokenize(tokens: readonly number[]): string {
    return String.fromCodePoint(...tokens);
  }

  setThreads(): void {
    // There are none.
  }

  loseCalls(): void {
    // None is ever lost.
  }

  interrupt(): void {
    // It cannot.
  }

  startSampling(_: Sequence, { grammar }: PreparedRequest): Sampler {
    const { free, bound = '' } = this.#script;
    return new ScriptedSampler(grammar === undefined ? free : bound, grammar !== undefined);
  }

  step(items: readonly StepItem[]): Promise<readonly StepOutcome[]> {
    return Promise.resolve(items.map((item) => this.#stepOne(item)));
  }

  #stepOne({ tokens, sampler }: StepItem): StepOutcome {
    const [sequence] = this.sequences;
    sequence.held = [...sequence.held, ...tokens];
    if (!(sampler instanceof ScriptedSampler)) return { kind: 'evaluated' };
    if (sampler.place === 0) this.beginnings.push(this.detokenize(sequence.held));
    const code = sampler.text.codePointAt(sampler.place);
    sampler.place += 1;
    if (code === undefined) return { kind: 'sampled', tokens: [], ended: true };
    return { kind: 'sampled', tokens: [{ token: code }], ended: false };
  }
}

interface Ran {
  readonly pieces: readonly string[];
  readonly result: GenerationResult | RequestFailure;
  readonly beginnings: readonly string[];
}

async function run(plan: AnswerPlan, script: Script, maxTokens = 500): Promise<Ran> {
  const driver = new ScriptedDriver(plan, script);
  const pieces: string[] = [];
  const result = await new Promise<GenerationResult | RequestFailure>((resolve) => {
    const scheduler = new Scheduler(driver, {
      chunk: (_, piece) => {
        // How far the prompt is, which is no part of the answer.
        if (piece.kind === 'prefill') return;
        const text = piece.kind === 'tool_call' ? `${piece.call.name}(${piece.call.arguments})` : piece.text;
        const last = pieces.at(-1) ?? '';
        if (last.startsWith(`${piece.kind}: `)) pieces[pieces.length - 1] = last + text;
        else pieces.push(`${piece.kind}: ${text}`);
      },
      done: (_, ended) => {
        resolve(ended);
      },
      failed: (_, failure) => {
        resolve(failure);
      },
    });
    void scheduler.submit(1, rawRequest('Q:', { maxTokens }), 10_000);
  });
  return { pieces, result, beginnings: driver.beginnings };
}

const thinking = { opening: '<think>', closing: '</think>', isOpen: true, budget: undefined };
const tools = { dialect: hermes, names: new Set(['add']), isOpen: false };
const call = '\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>';

test.each([false, true])('thinking first, then the grammar (recurrent: %s)', async (recurrent) => {
  const plan: AnswerPlan = { ...plainAnswer, thinking, constrained: { from: 'answer', lead: '' } };
  const ran = await run(plan, { free: 'hm</think>free', bound: '{}', recurrent });
  expect(ran.pieces).toEqual(['thinking: hm', 'token: {}']);
  expect(ran.beginnings).toEqual(['Q:', 'Q:hm</think>']);
  expect(ran.result).toMatchObject({ stopReason: 'end', usage: { prompt_tokens: 2, completion_tokens: 12 } });
});

test.each([false, true])('an opened call is made within the grammar (recurrent: %s)', async (recurrent) => {
  const plan: AnswerPlan = { ...plainAnswer, tools, constrained: { from: 'calls' } };
  const ran = await run(plan, { free: 'Well. <tool_call>nonsense', bound: call, recurrent });
  expect(ran.pieces).toEqual(['token: Well.', 'tool_call: add({"a":1})']);
  expect(ran.beginnings).toEqual(['Q:', 'Q:Well. <tool_call>']);
  expect(ran.result).toMatchObject({ stopReason: 'end', stopDetail: 'tool_use' });
});

test('no call is made where the model opens none', async () => {
  const plan: AnswerPlan = { ...plainAnswer, tools, constrained: { from: 'calls' } };
  const ran = await run(plan, { free: 'Well.', bound: call });
  expect(ran.pieces).toEqual(['token: Well.']);
  expect(ran.result).toMatchObject({ stopReason: 'end' });
  expect(ran.result).not.toHaveProperty('stopDetail');
});

test('a call that must be made comes after thinking, which is ended in time', async () => {
  const plan: AnswerPlan = {
    ...plainAnswer,
    thinking: { ...thinking, budget: 5 },
    tools,
    constrained: { from: 'answer', lead: '<tool_call>' },
  };
  const ran = await run(plan, { free: 'on and on and on', bound: call });
  expect(ran.pieces).toEqual(['thinking: on an', 'tool_call: add({"a":1})']);
  expect(ran.beginnings).toEqual(['Q:', 'Q:on an\n</think>\n\n<tool_call>']);
});

test('thinking that is ended is followed by a free answer where there is no grammar', async () => {
  const plan: AnswerPlan = { ...plainAnswer, thinking: { ...thinking, budget: 2 } };
  const ran = await run(plan, { free: 'Yes' });
  expect(ran.pieces).toEqual(['thinking: Ye', 'token: Yes']);
});

test('a call that is none fails the request', async () => {
  const plan: AnswerPlan = { ...plainAnswer, tools };
  const ran = await run(plan, { free: '<tool_call>{"name": "rm", "arguments": {}}' });
  expect(ran.result).toMatchObject({ kind: 'tool_call_malformed' });
});

test('a call that is cut off is not told, and the answer was too long', async () => {
  const plan: AnswerPlan = { ...plainAnswer, tools, constrained: { from: 'calls' } };
  const ran = await run(plan, { free: '<tool_call>', bound: call }, 20);
  expect([ran.pieces, ran.result]).toMatchObject([[], { stopReason: 'length' }]);
});
