import { resolveGeneration, parseGenerateRequest } from '@hearth/protocol';
import { beforeAll, describe, expect, test } from 'vitest';
import { hearthScope, type HearthProcess } from '../support/daemon.js';
import { askOnce, type Frame, say } from '../support/raw-client.js';

const tokens = ['alpha ', 'beta ', 'gamma'];

describe('requests', () => {
  const hearth = hearthScope('file');
  let daemon: HearthProcess;
  /** A backend that fails each request it gets: an answer of `invalid_request` shows that it got none. */
  let failing: HearthProcess;
  const ask = (value: unknown): Promise<readonly Frame[]> => askOnce(daemon.home.inferenceSocket, value);
  const refused = (value: unknown): Promise<readonly Frame[]> => askOnce(failing.home.inferenceSocket, value);

  beforeAll(async () => {
    [daemon, failing] = await Promise.all([
      hearth.serve({ mock: { tokens } }),
      hearth.serve({ mock: { pre_stream_error: 'unavailable' } }),
    ]);
  });

  test('row 7: unknown fields change nothing', async () => {
    const plain = await ask(say('same'));
    expect(await ask(say('same', { future_field: 42, other: { deep: [1] } }))).toEqual(plain);
  });

  test.each(['', 'plain', 'with "quotes" and \\', 'zwölf 火 🔥', 'x'.repeat(256)])(
    'row 8: every frame carries the id %j verbatim',
    async (id) => {
      const frames = await ask(say(id));
      expect(frames.map((frame) => frame['id'])).toEqual([id, id, id, id]);
    },
  );

  test('row 8: an id that was left out echoes as the empty string', async () => {
    const frames = await ask({ messages: [{ role: 'user', content: 'hi' }] });
    expect(frames.map((frame) => frame['id'])).toEqual(['', '', '', '']);
  });

  test('row 12: a generation that meets max_tokens stops with length', async () => {
    expect(await ask(say('short', { max_tokens: 2 }))).toMatchObject([
      { type: 'token', content: 'alpha ' },
      { type: 'token', content: 'beta ' },
      { type: 'done', content: 'alpha beta ', stop_reason: 'length', usage: { completion_tokens: 2 } },
    ]);
  });

  test('row 15: the connection serves on after a validation error', async () => {
    const client = await daemon.connect();
    expect(await client.ask({ id: 'bad', messages: [] })).toMatchObject([
      { id: 'bad', code: 'invalid_request' },
    ]);
    expect((await client.ask(say('good'))).at(-1)).toMatchObject({ id: 'good', type: 'done' });
    client.destroy();
  });

  test.each(['tool', 'User', '', 7, null])('row 16: the role %j is refused', async (role) => {
    const reply = await refused({ id: 'role', messages: [{ role, content: 'x' }] });
    expect(reply).toMatchObject([{ id: 'role', type: 'error', code: 'invalid_request' }]);
  });

  test.each(['system', 'user', 'assistant'])('row 16: the role %s is taken', async (role) => {
    expect((await ask({ messages: [{ role, content: 'x' }] })).at(-1)).toMatchObject({ type: 'done' });
  });

  test('row 17: fields that are left out resolve to 1.0, 0.95, 64, 1000 and stream', async () => {
    expect(resolveGeneration(parseGenerateRequest(say('defaults'))).sampling).toMatchObject({
      temperature: 1,
      topP: 0.95,
      topK: 64,
      maxTokens: 1000,
    });

    // Through the daemon: of 1200 tokens that the backend would give, it is asked for 1000, and streams them.
    const long = await hearth.serve({ mock: { tokens: Array.from({ length: 1200 }, () => 'x') } });
    const frames = await askOnce(long.home.inferenceSocket, say('defaults'));
    expect(frames).toHaveLength(1001);
    expect(frames.at(-1)).toMatchObject({ stop_reason: 'length', usage: { completion_tokens: 1000 } });
    await long.stop();
  });

  test.each([70, 140, 280, 560, 1120])('row 18: the image token budget %d is taken', async (budget) => {
    expect((await ask(say('budget', { image_token_budget: budget }))).at(-1)).toMatchObject({ type: 'done' });
  });

  test('row 18: another image token budget is refused before the backend is called', async () => {
    expect(await refused(say('budget', { image_token_budget: 999 }))).toMatchObject([
      { code: 'invalid_request' },
    ]);
  });

  test.each([
    ['over 64 KB', `root ::= "${'a'.repeat(65_536)}"`],
    ['with over 4096 alternations', `root ::= ${'|'.repeat(4097)}`],
  ])('row 19: a grammar %s is refused before the backend is called', async (_what, grammar) => {
    expect(await refused(say('grammar', { grammar }))).toMatchObject([
      { id: 'grammar', code: 'invalid_request' },
    ]);
  });

  test('row 19: a grammar at the bounds is taken', async () => {
    const alternations = `root ::= ${'"a"|'.repeat(4096)}"a"`;
    expect(Buffer.byteLength(alternations)).toBeLessThanOrEqual(65_536);
    expect((await ask(say('grammar', { grammar: alternations }))).at(-1)).toMatchObject({ type: 'done' });
  });

  test('row 20: a field that names a backend has no effect', async () => {
    const two = await hearth.serve({ mock: [{ name: 'first' }, { name: 'second' }] });
    const frames = await askOnce(two.home.inferenceSocket, say('which', { backend: 'second' }));
    expect(frames.at(-1)).toMatchObject({ type: 'done', backend: 'first' });
    await two.stop();
  });

  test('row 25: stream false gives a single done that equals the streamed one', async () => {
    const streamed = await ask(say('whole'));
    const whole = await ask(say('whole', { stream: false }));
    expect(whole).toEqual([streamed.at(-1)]);
    expect(whole[0]).toMatchObject({ content: 'alpha beta gamma', stop_reason: 'end' });
  });

  test('row 26: requests one after another on one connection each complete, in order', async () => {
    const client = await daemon.connect();
    for (let turn = 0; turn < 50; turn += 1) {
      const frames = await client.ask(say(`turn-${turn}`));
      expect(frames.map((frame) => [frame['id'], frame['type']])).toEqual([
        [`turn-${turn}`, 'token'],
        [`turn-${turn}`, 'token'],
        [`turn-${turn}`, 'token'],
        [`turn-${turn}`, 'done'],
      ]);
    }
    client.destroy();
  });
});
