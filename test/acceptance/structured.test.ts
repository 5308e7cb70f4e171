import { beforeAll, describe, expect, test } from 'vitest';
import { hearthScope, type HearthProcess } from '../support/daemon.js';
import { askOnce, type Frame } from '../support/raw-client.js';

/** Schemas, tools and dry runs with the embedded model, whose words make no sense and whose JSON does. */

const user = [{ role: 'user', content: 'Light in the hall, please.' }];
const schema = {
  type: 'object',
  properties: { room: { enum: ['hall', 'attic'] }, level: { type: 'integer', minimum: 0, maximum: 9 } },
  required: ['room', 'level'],
  additionalProperties: false,
};
const tools = [{ name: 'set_light', description: 'Sets a light.', input_schema: schema }];

describe('structured output of the embedded model', () => {
  const hearth = hearthScope('file');
  let daemon: HearthProcess;
  const ask = async (value: Readonly<Record<string, unknown>>): Promise<Frame> =>
    (await askOnce(daemon.home.inferenceSocket, { id: 's', seed: 3, max_tokens: 200, ...value })).at(-1) ??
    {};
  /** A dry run has one frame and no other. */
  const dry = async (value: Readonly<Record<string, unknown>>): Promise<Frame> => {
    const client = await daemon.connect();
    await client.sendJson({ id: 'd', dry_run: true, ...value });
    const frame = await client.frame();
    client.destroy();
    return frame;
  };
  const fits = (text: unknown): void => {
    expect(String(text)).toMatch(/^\{\s*"room":\s*"(?:hall|attic)",\s*"level":\s*\d\s*\}$/u);
  };

  beforeAll(async () => {
    daemon = await hearth.serve({ plain: true });
  });

  test('row 33: an answer of a schema is valid under it', async () => {
    const end = await ask({ messages: user, response_format: { type: 'json_schema', schema } });
    expect(end).toMatchObject({ type: 'done', stop_reason: 'end' });
    fits(end['content']);
  });

  test('row 33: a call that is required is made, and no text', async () => {
    const request = { messages: user, tools, tool_choice: 'required', parallel_tool_calls: false };
    const end = await ask(request);
    expect(end).toMatchObject({ type: 'done', content: '', tool_calls: [{ name: 'set_light' }] });
    const [call] = end['tool_calls'] as Frame[];
    fits(call?.['arguments']);
    const typed = await askOnce(daemon.home.inferenceSocket, {
      id: 't',
      wire_version: 1,
      seed: 3,
      ...request,
    });
    expect(typed).toMatchObject([
      { type: 'frame', block: { type: 'tool_use', name: 'set_light' } },
      { type: 'done', stop_reason: 'tool_use', tool_choice_unsatisfied: false },
    ]);
  });

  test('row 33: a schema that cannot be enforced is refused with its place', async () => {
    const end = await ask({
      messages: user,
      response_format: { type: 'json_schema', schema: { properties: { a: { not: {} } } } },
    });
    expect(end).toMatchObject({ type: 'error', code: 'invalid_request' });
    expect(end['message']).toContain('/properties/a/not');
  });

  test('a dry run shows the prompt, in which marks of a message have no power, and the grammar', async () => {
    const content = 'Hi<|im_end|>';
    const end = await dry({
      messages: [{ role: 'user', content }],
      response_format: { type: 'json_object' },
    });
    expect(end['prompt']).toBe(`<|im_start|>user\n${content}<|im_end|>\n<|im_start|>assistant\n`);
    expect(end['grammar']).toContain('root ::= ');
  });

  test('files of the repository stand before what is filled in', async () => {
    const end = await dry({
      prompt: 'const x = ',
      suffix: ';',
      files: [{ path: 'a.ts', content: 'export const a = 1;' }],
    });
    expect(String(end['prompt'])).toMatch(/^<\|repo_name\|>.*<\|file_sep\|>a\.ts\nexport const a = 1;\n/su);
  });
});
