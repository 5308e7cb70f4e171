import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { hearthScope, type HearthProcess } from '../support/daemon.js';
import { askOnce, type Frame, say } from '../support/raw-client.js';

/** Typed content and typed replies (behaviours.md 1.3), by their meaning over NDJSON. */

const tools = [{ name: 'weather', description: 'Says the weather.' }, { name: 'clock' }];
const user = (text: string): unknown[] => [{ role: 'user', content: text }];

describe('typed content', () => {
  const hearth = hearthScope('file');
  let daemon: HearthProcess;
  const ask = (value: unknown): Promise<readonly Frame[]> => askOnce(daemon.home.inferenceSocket, value);
  const refused = async (value: Record<string, unknown>): Promise<Frame> => {
    const frames = await ask({ id: 'r', ...value });
    expect(frames).toHaveLength(1);
    expect(frames[0]).toMatchObject({ id: 'r', type: 'error' });
    return frames[0] ?? {};
  };

  beforeAll(async () => {
    daemon = await hearth.serve({
      mock: {
        tokens: ['alpha ', 'beta'],
        script: [
          {
            when: 'call',
            pieces: [
              { thinking: 'Which ' },
              { thinking: 'tool?' },
              { text: 'I look. ' },
              { tool_call: { name: 'weather', arguments: { city: 'Oslo' } } },
            ],
            prompt_tokens: 7,
            cached_tokens: 5,
          },
          { when: 'break a call', pieces: [] },
          { when: 'stop', pieces: [{ text: 'cut' }], stop_detail: 'stop_sequence' },
          { when: 'broken', pieces: [{ raw_tool_call: { name: 'weather', arguments: '[1' } }] },
          { when: 'malformed', pieces: [{ failure: 'tool_call_malformed' }] },
        ],
      },
    });
  });
  afterEach(async () => {
    expect((await ask(say('next'))).at(-1)).toMatchObject({ type: 'done', content: 'alpha beta' });
  });

  test('row 29: wire_version 1 is served with typed replies', async () => {
    expect(await ask({ id: 'v', wire_version: 1, messages: user('hi') })).toEqual([
      { id: 'v', type: 'frame', block: { type: 'text', delta: 'alpha ' } },
      { id: 'v', type: 'frame', block: { type: 'text', delta: 'beta' } },
      {
        id: 'v',
        type: 'done',
        usage: { input_tokens: 0, output_tokens: 2 },
        stop_reason: 'end_turn',
        backend: 'mock',
        tool_choice_unsatisfied: false,
      },
    ]);
  });

  test.each([0, 2, 1.5, -1, 4_294_967_296])(
    'row 29, row 34: wire_version %d gives one error that names both versions, and a close',
    async (version) => {
      const client = await daemon.connect();
      // What follows is not read any more.
      await client.sendJson({ id: 'v', wire_version: version, messages: 7 }, say('later'));
      const frames = await client.rest();
      expect(frames).toMatchObject([{ id: 'v', type: 'error', code: 'wire_version_unsupported' }]);
      expect(frames[0]?.['message']).toContain(String(version));
      expect(frames[0]?.['message']).toContain('speaks wire_version 1');
      client.destroy();
    },
  );

  test('rows 27, 28: a frame that is length-prefixed and not a line is malformed: one error, and a close', async () => {
    const body = JSON.stringify({ wire_version: 1, messages: user('hi') });
    const client = await daemon.connect();
    await client.send(Buffer.concat([Buffer.from([body.length, 0x01]), Buffer.from(`${body}\n`)]));
    expect(await client.rest()).toMatchObject([{ id: '', type: 'error', code: 'invalid_request' }]);
    client.destroy();
  });

  test('row 31: the stop reasons and the usage of typed replies', async () => {
    const end = async (text: string, extra: Record<string, unknown> = {}): Promise<Frame | undefined> =>
      (await ask({ wire_version: 1, messages: user(text), ...extra })).at(-1);
    expect(await end('hi', { max_tokens: 1 })).toMatchObject({ stop_reason: 'max_tokens' });
    expect(await end('stop')).toMatchObject({ stop_reason: 'stop_sequence' });
    const called = await end('call', { tools });
    expect(called).toMatchObject({ stop_reason: 'tool_use', usage: { input_tokens: 7, output_tokens: 4 } });
    expect(called).not.toHaveProperty('content');
  });

  test('row 31: thinking and calls come as blocks, and with stream: false only the calls', async () => {
    const request = { id: 'b', wire_version: 1, messages: user('call'), tools };
    const blocks = (frames: readonly Frame[]): unknown[] =>
      frames.flatMap((frame) => (frame['type'] === 'frame' ? [frame['block']] : []));
    const call = {
      type: 'tool_use',
      tool_call_id: 'call_1',
      name: 'weather',
      input: { city: 'Oslo' },
    };
    expect(blocks(await ask(request))).toEqual([
      { type: 'thinking', delta: 'Which ' },
      { type: 'thinking', delta: 'tool?' },
      { type: 'text', delta: 'I look. ' },
      call,
    ]);
    expect(blocks(await ask({ ...request, stream: false }))).toEqual([call]);
  });

  test('a request that asks for events hears of thinking and calls as they come, and of all at the end', async () => {
    const frames = await ask({ id: 'e', events: true, messages: user('call'), tools });
    expect(frames.map((frame) => frame['type'])).toEqual([
      'accepted',
      'prefill',
      'thinking',
      'thinking',
      'token',
      'tool_call',
      'done',
    ]);
    expect(frames.at(-1)).toEqual({
      id: 'e',
      type: 'done',
      content: 'I look. ',
      thinking: 'Which tool?',
      tool_calls: [{ tool_call_id: 'call_1', name: 'weather', arguments: '{"city":"Oslo"}' }],
      usage: { prompt_tokens: 7, completion_tokens: 4, cached_tokens: 5 },
      stop_reason: 'end',
      stop_detail: 'tool_use',
      backend: 'mock',
      timings: expect.objectContaining({ prefill_ms: 1, decode_ms: 4 }) as unknown,
    });
  });

  test('a pure request of version 1 gets the frames of version 1, whatever the model does', async () => {
    const frames = await ask({ id: 'p', messages: user('call') });
    expect(frames).toEqual([
      { id: 'p', type: 'token', content: 'I look. ' },
      {
        id: 'p',
        type: 'done',
        content: 'I look. ',
        usage: { prompt_tokens: 7, completion_tokens: 4 },
        stop_reason: 'end',
        backend: 'mock',
      },
    ]);
  });

  test('log-probabilities come with the tokens, or at the end where nothing is streamed', async () => {
    const request = { messages: user('stop'), logprobs: 2 };
    const [token, done] = await ask(request);
    expect(token).toMatchObject({ logprobs: [{ text: 'cut', logprob: -0.5, alternatives: [{}, {}] }] });
    expect(done).not.toHaveProperty('logprobs');
    expect(await ask({ ...request, stream: false })).toMatchObject([
      { type: 'done', logprobs: [{ text: 'cut' }] },
    ]);
  });

  test('row 30: text blocks are served, and blocks of an unknown type are ignored', async () => {
    const content = [
      { type: 'hologram', anything: 1 },
      { type: 'text', text: 'st' },
      { type: 'text', text: 'op' },
    ];
    expect((await ask({ messages: [{ role: 'user', content }] })).at(-1)).toMatchObject({ content: 'cut' });
  });

  const png = { id: 'a', kind: 'image', len: 3, data: 'AAAA' };
  test.each([
    ['an empty content', { messages: [{ role: 'user', content: [] }] }],
    [
      'a dangling attachment',
      { messages: [{ role: 'user', content: [{ type: 'image', attachment_id: 'none' }] }] },
    ],
    ['two attachments of one id', { messages: user('x'), attachments: [png, png] }],
    ['two tools of one name', { messages: user('x'), tools: [tools[0], tools[0]] }],
    [
      'a block of another kind than its attachment',
      { messages: [{ role: 'user', content: [{ type: 'audio', attachment_id: 'a' }] }], attachments: [png] },
    ],
    ['row 33: tool_choice without tools', { messages: user('x'), tool_choice: 'auto' }],
    [
      'row 33: tool_choice with response_format',
      { messages: user('x'), tools, tool_choice: 'auto', response_format: { type: 'json_object' } },
    ],
    ['row 33: an unknown tool_choice', { messages: user('x'), tools, tool_choice: 'perhaps' }],
    ['row 33: a tool that is not there', { messages: user('x'), tools, tool_choice: { name: 'other' } }],
    [
      'row 32: 33 attachments',
      {
        messages: user('x'),
        attachments: Array.from({ length: 33 }, (_, index) => ({ ...png, id: String(index) })),
      },
    ],
    ['row 32: a length that is wrong', { messages: user('x'), attachments: [{ ...png, len: 4 }] }],
  ])('row 30: %s is an invalid request', async (_what, request) => {
    expect(await refused(request)).toMatchObject({ code: 'invalid_request' });
  });

  test('row 32: attachments that declare more than 128 MiB are refused before they are looked at', async () => {
    const attachments = [
      { ...png, len: 100 * 1024 * 1024, data: 'not base64' },
      { ...png, len: 29 * 1024 * 1024, data: 7 },
    ];
    expect(await refused({ messages: user('x'), attachments })).toMatchObject({ code: 'frame_too_large' });
  });

  test('row 33: required and no call: the end says so', async () => {
    const request = { messages: user('hi'), tools, tool_choice: 'required' };
    expect((await ask(request)).at(-1)).toMatchObject({ type: 'done', tool_choice_unsatisfied: true });
    expect((await ask({ ...request, wire_version: 1 })).at(-1)).toMatchObject({
      tool_choice_unsatisfied: true,
    });
    const named = { messages: user('call'), tools, tool_choice: { name: 'clock' }, wire_version: 1 };
    expect((await ask(named)).at(-1)).toMatchObject({ tool_choice_unsatisfied: true });
    const met = { ...named, tool_choice: 'required' };
    expect((await ask(met)).at(-1)).toMatchObject({ tool_choice_unsatisfied: false });
  });

  const picture = {
    messages: [{ role: 'user', content: [{ type: 'image', attachment_id: 'a' }] }],
    attachments: [png],
  };
  test('row 34: attachment_unsupported, to whoever knows the code', async () => {
    expect(await refused({ ...picture, wire_version: 1 })).toMatchObject({ code: 'attachment_unsupported' });
    expect(await refused(picture)).toMatchObject({ code: 'invalid_request' });
  });

  test.each(['malformed', 'broken'])('row 34: tool_call_malformed: %s', async (text) => {
    const request = { wire_version: 1, messages: user(text), tools };
    expect(await refused(request)).toMatchObject({ code: 'tool_call_malformed' });
  });
});
