import { generateRequestSchema, resolveGeneration } from '@hearth/protocol';
import type { GenerateRequestInput, ToolCall } from '@hearth/protocol';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { resolveModel } from '../../models/resolve-model.js';
import { EngineFailure } from '../engine.js';
import { LlamaEngine } from './llama-engine.js';
import { bundleTestWorker, reaches } from './testing.js';
import type { TestWorker } from './testing.js';

/** What the pilot writes makes no sense, so that what holds here the grammars have made so. On both drivers. */

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const never = new AbortController().signal;
const ajv = new Ajv2020({ strict: false, validateFormats: false });

let worker: TestWorker;

beforeAll(async () => {
  worker = await bundleTestWorker();
});

afterAll(async () => {
  await worker.dispose();
});

interface Answer {
  readonly text: string;
  readonly thinking: string;
  readonly calls: readonly ToolCall[];
  readonly stopReason: string;
  readonly stopDetail: string | undefined;
  readonly tokens: number;
}

async function answer(engine: LlamaEngine, request: GenerateRequestInput): Promise<Answer> {
  let [text, thinking] = ['', ''];
  const calls: ToolCall[] = [];
  const resolved = resolveGeneration(generateRequestSchema.parse(request));
  for await (const chunk of engine.generate(resolved, never)) {
    if (chunk.kind === 'token') text += chunk.text;
    else if (chunk.kind === 'thinking') thinking += chunk.text;
    else if (chunk.kind === 'tool_call') calls.push(chunk.call);
    else if (chunk.kind === 'done') {
      const { stopReason, stopDetail, usage } = chunk;
      return { text, thinking, calls, stopReason, stopDetail, tokens: usage.completion_tokens };
    }
  }
  throw new Error('the generation ended without done');
}

async function refused(engine: LlamaEngine, request: GenerateRequestInput): Promise<string> {
  try {
    await answer(engine, request);
  } catch (error) {
    if (error instanceof EngineFailure) return `${error.kind}: ${error.message}`;
    throw error;
  }
  throw new Error('it was not refused');
}

const messages = [{ role: 'user' as const, content: 'A person, please.' }];
const person = {
  type: 'object',
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 12 },
    age: { type: 'integer', minimum: 0, maximum: 120 },
    born: { type: 'string', format: 'date' },
    tags: { type: 'array', items: { enum: ['kind', 'tall', 'quick'] }, maxItems: 3 },
    pet: {
      anyOf: [
        { type: 'null' },
        { type: 'object', properties: { legs: { type: 'integer', minimum: 0, maximum: 8 } } },
      ],
    },
  },
  required: ['name', 'age', 'born', 'tags'],
  additionalProperties: false,
};
const tools = [
  {
    name: 'set_light',
    description: 'Switches a light.',
    input_schema: {
      type: 'object',
      properties: {
        room: { enum: ['kitchen', 'hall'] },
        level: { type: 'integer', minimum: 0, maximum: 10 },
      },
      required: ['room', 'level'],
    },
  },
  { name: 'now', input_schema: { type: 'object', properties: {}, additionalProperties: false } },
];

describe.each(['ffi', 'addon'] as const)('with the %s driver', (driver) => {
  let engine: LlamaEngine;

  beforeAll(async () => {
    const source = await resolveModel('pilot');
    engine = new LlamaEngine({ source, sequences: 2, workerPath: worker.path, driver });
    engine.start();
    expect(await reaches(engine, 'ready', 'failed')).toEqual({ kind: 'ready' });
  });

  afterAll(async () => {
    await engine.stop();
  });

  test('given a schema, then the answer is valid under it', async () => {
    const validate = ajv.compile(person);
    for (const seed of [1, 2, 3]) {
      const { text, stopReason } = await answer(engine, {
        messages,
        seed,
        max_tokens: 600,
        response_format: { type: 'json_schema', schema: person },
      });
      expect(stopReason).toBe('end');
      expect([text, validate(JSON.parse(text))]).toEqual([text, true]);
    }
  });

  test('given json_object, then the answer is an object', async () => {
    const { text, stopReason } = await answer(engine, {
      messages,
      seed: 4,
      max_tokens: 400,
      response_format: { type: 'json_object' },
    });
    if (stopReason === 'end') expect(JSON.parse(text)).toBeTypeOf('object');
    else expect(text).toMatch(/^\{/u);
  });

  test('given a raw prompt, then a schema holds there too', async () => {
    const { text } = await answer(engine, {
      prompt: 'const x = ',
      seed: 1,
      response_format: {
        type: 'json_schema',
        schema: { type: 'array', items: { type: 'boolean' }, minItems: 2, maxItems: 2 },
      },
    });
    expect(JSON.parse(text)).toHaveLength(2);
  });

  test('given tool_choice required, then there are calls, valid under their schemas, and no text', async () => {
    const validate = ajv.compile(tools[0]?.input_schema ?? {});
    for (const seed of [1, 2, 3, 4]) {
      const { text, calls, stopReason, stopDetail } = await answer(engine, {
        messages,
        tools,
        tool_choice: 'required',
        parallel_tool_calls: false,
        seed,
        max_tokens: 300,
      });
      expect([text, calls.length, stopReason, stopDetail]).toEqual(['', 1, 'end', 'tool_use']);
      for (const call of calls) {
        expect(call.id).toMatch(/^[A-Za-z0-9]{9}$/u);
        const input: unknown = JSON.parse(call.arguments);
        if (call.name === 'now') expect(input).toEqual({});
        else
          expect([call.name, call.arguments, validate(input)]).toEqual(['set_light', call.arguments, true]);
      }
    }
  });

  test('given a named tool, then that one is called', async () => {
    const { calls } = await answer(engine, {
      messages,
      tools,
      tool_choice: { name: 'now' },
      parallel_tool_calls: false,
      seed: 5,
      max_tokens: 100,
    });
    expect(calls.map(({ name, arguments: given }) => `${name} ${given}`)).toEqual(['now {}']);
  });

  test('given tool_choice none or auto, then this model, which knows no tools, answers with text', async () => {
    for (const choice of ['none', 'auto'] as const) {
      const { text, calls } = await answer(engine, {
        messages,
        tools,
        tool_choice: choice,
        temperature: 0,
        max_tokens: 20,
      });
      expect([text !== '', calls]).toEqual([true, []]);
    }
  });

  test('given a schema that cannot be enforced, then it is refused with the place', async () => {
    const format = { type: 'json_schema' as const, schema: { properties: { a: { not: {} } } } };
    expect(await refused(engine, { messages, response_format: format })).toMatch(
      /^invalid_request: response_format\.schema: \/properties\/a\/not: /u,
    );
    const broken = [{ name: 'x', input_schema: { properties: { a: { $ref: '#/nowhere' } } } }];
    expect(await refused(engine, { messages, tools: broken })).toMatch(
      /^invalid_request: tools\.0\.input_schema: \/properties\/a\/\$ref: /u,
    );
  });

  test('given a least length of thousands, then it is taken, and beyond what can be enforced the place says what can', async () => {
    const atLeast = (minLength: number) => ({
      type: 'json_schema' as const,
      schema: { type: 'object', properties: { a: { type: 'string', minLength } }, required: ['a'] },
    });
    const { stopReason } = await answer(engine, {
      messages,
      seed: 1,
      max_tokens: 12,
      response_format: atLeast(4000),
    });
    expect(stopReason).toBe('length');
    expect(await refused(engine, { messages, response_format: atLeast(5000) })).toBe(
      'invalid_request: response_format.schema: /properties/a/minLength: Lengths up to 4096 can be enforced. Set 4096 or less, or leave it out.',
    );
  });

  test('given thinking, then a model that cannot is not made to', async () => {
    expect(await refused(engine, { messages, thinking: true })).toMatch(/^unsupported: .*no way to think/u);
  });
});
