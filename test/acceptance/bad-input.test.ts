import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { hearthScope, type HearthProcess } from '../support/daemon.js';
import { memory, resetPeak } from '../support/processes.js';
import type { RawClient } from '../support/raw-client.js';
import { askOnce, say } from '../support/raw-client.js';
import { makeTinyGguf } from '../support/tiny-gguf.js';

const mebibyte = 1024 * 1024;
const frameBytes = 64 * mebibyte;

describe('bad input on the inference socket', () => {
  const hearth = hearthScope('file');
  let daemon: HearthProcess;
  beforeAll(async () => {
    daemon = await hearth.serve({ mock: { tokens: ['fine'] } });
  });
  afterEach(async () => {
    // Whatever came, the next request is served, by the same process.
    expect(daemon.hasExited).toBe(false);
    expect((await askOnce(daemon.home.inferenceSocket, say('next'))).at(-1)).toMatchObject({
      id: 'next',
      type: 'done',
      content: 'fine',
    });
  });

  const malformed: readonly (readonly [string, Uint8Array])[] = [
    ['garbage bytes', Buffer.from('\u0000\u0007GET / HTTP/1.1\r\n\r\n')],
    ['bytes that are no UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d, 0x0a])],
    ['UTF-8 that is cut off', Buffer.from([0x22, 0xf0, 0x9f, 0x94, 0x0a])],
    ['an encoded surrogate', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22, 0x0a])],
    ['a number', Buffer.from('42\n')],
    ['null', Buffer.from('null\n')],
    ['a string', Buffer.from('"hello"\n')],
    ['an array', Buffer.from('[{"id":"x"}]\n')],
    ['two objects on a line', Buffer.from('{"messages":[]}{"messages":[]}\n')],
    ['an object that is not closed', Buffer.from('{"id":"x","messages":[{"role":"user"\n')],
    ['a hundred thousand brackets', Buffer.from(`${'['.repeat(100_000)}\n`)],
  ];

  test.each(malformed)('rows 3, 6: %s: one error with an empty id, then a close', async (_what, bytes) => {
    const client = await daemon.connect();
    await client.send(bytes);
    expect(await client.rest()).toEqual([
      { id: '', type: 'error', code: 'invalid_request', message: expect.any(String) as string },
    ]);
    client.destroy();
  });

  test('row 6: half a frame and a half-close: one error, then a close', async () => {
    const client = await daemon.connect();
    await client.send('{"id":"half","messages":[{"role":"us');
    client.halfClose();
    expect(await client.rest()).toMatchObject([{ id: '', type: 'error', code: 'invalid_request' }]);
  });

  test('row 5: half a frame and a client that goes away', async () => {
    const client = await daemon.connect();
    await client.send('{"id":"half","messages":[{"role":"us');
    client.destroy();
  });

  const wrong: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
    ['no messages', {}],
    ['empty messages', { messages: [] }],
    ['messages that are an object', { messages: {} }],
    ['messages that are a string', { messages: 'hello' }],
    ['messages that hold a string', { messages: ['hello'] }],
    ['messages that hold null', { messages: [null] }],
    ['a message without a role', { messages: [{ content: 'x' }] }],
    ['an unknown role', { messages: [{ role: 'robot', content: 'x' }] }],
    ['a message without content', { messages: [{ role: 'user' }] }],
    ['content that is a number', { messages: [{ role: 'user', content: 1 }] }],
    ['content that is an array of strings', { messages: [{ role: 'user', content: ['x'] }] }],
    ['a temperature that is a string', say('wrong', { temperature: '0' })],
    ['a temperature below zero', say('wrong', { temperature: -1 })],
    ['a top_p over one', say('wrong', { top_p: 1.5 })],
    ['a top_p that is null', say('wrong', { top_p: null })],
    ['a top_k that is a fraction', say('wrong', { top_k: 1.5 })],
    ['a top_k below zero', say('wrong', { top_k: -1 })],
    ['max_tokens of zero', say('wrong', { max_tokens: 0 })],
    ['max_tokens beyond 32 bits', say('wrong', { max_tokens: 4_294_967_296 })],
    ['max_tokens that is a string', say('wrong', { max_tokens: '10' })],
    ['a stream that is a string', say('wrong', { stream: 'yes' })],
    ['a budget that is a string', say('wrong', { image_token_budget: '70' })],
    ['a grammar that is a number', say('wrong', { grammar: 1 })],
    ['a seed below zero', say('wrong', { seed: -1 })],
    ['a min_p over one', say('wrong', { min_p: 2 })],
    ['a stop that is a string', say('wrong', { stop: 'x' })],
    ['a stop that holds an empty string', say('wrong', { stop: [''] })],
    ['too many stops', say('wrong', { stop: Array.from({ length: 17 }, (_, index) => `s${index}`) })],
    ['a prompt that is a number', { prompt: 1 }],
    ['a suffix without a prompt', say('wrong', { suffix: 'x' })],
    ['messages and a prompt', say('wrong', { prompt: 'x' })],
    ['a model that is a number', say('wrong', { model: 1 })],
  ];

  test.each(wrong)(
    'rows 14, 16: %s: one error with the id, and the connection serves on',
    async (_what, fields) => {
      const client = await daemon.connect();
      expect(await client.ask({ ...fields, id: 'wrong' })).toEqual([
        { id: 'wrong', type: 'error', code: 'invalid_request', message: expect.any(String) as string },
      ]);
      expect((await client.ask(say('same connection'))).at(-1)).toMatchObject({
        id: 'same connection',
        type: 'done',
      });
      client.destroy();
    },
  );

  test.each([7, null, ['x'], 'x'.repeat(257)])('row 8: an id that is %j is refused', async (id) => {
    const client = await daemon.connect();
    expect(await client.ask({ ...say(''), id })).toMatchObject([{ type: 'error', code: 'invalid_request' }]);
    expect((await client.ask(say('after'))).at(-1)).toMatchObject({ id: 'after', type: 'done' });
    client.destroy();
  });

  test('rows 2, 3: 65 MiB without a line feed is refused at the cap, in bounded memory', async () => {
    resetPeak(daemon.pid);
    const before = memory(daemon.pid).now;
    const client = await daemon.connect();
    const sent = await pour(client, 65 * mebibyte);
    expect(sent).toBe(65 * mebibyte);
    expect(await client.rest()).toMatchObject([{ id: '', type: 'error', code: 'frame_too_large' }]);
    client.destroy();
    // The cap itself may be held, and what the collector had not yet let go; not twice the line.
    expect(memory(daemon.pid).peak - before).toBeLessThan(frameBytes + 48 * mebibyte);
  });

  test('row 3: an endless line is cut off: its sender cannot go on, and memory does not grow with it', async () => {
    resetPeak(daemon.pid);
    const before = memory(daemon.pid).now;
    const client = await daemon.connect();
    const reply = client.frame();
    const sent = await pour(client, 4096 * mebibyte);
    expect(await reply).toMatchObject({ id: '', type: 'error', code: 'frame_too_large' });
    expect(sent).toBeLessThan(4096 * mebibyte);
    client.destroy();
    expect(memory(daemon.pid).peak - before).toBeLessThan(frameBytes + 64 * mebibyte);
  });
});

describe('bad models', () => {
  const hearth = hearthScope('test');
  const good = makeTinyGguf();

  const files: readonly (readonly [string, (file: string) => void])[] = [
    ['a directory', (file) => fs.mkdirSync(file)],
    ['an empty file', (file) => fs.writeFileSync(file, '')],
    ['garbage', (file) => fs.writeFileSync(file, Buffer.alloc(65_536, 'not a model '))],
    ['a GGUF cut off in its head', (file) => fs.writeFileSync(file, good.subarray(0, 200))],
    ['a GGUF cut off in its weights', (file) => fs.writeFileSync(file, good.subarray(0, good.length - 4096))],
    ['a GGUF whose counts are absurd', (file) => fs.writeFileSync(file, withAbsurdCounts(good))],
    ['a GGUF whose head is garbage', (file) => fs.writeFileSync(file, withGarbageHead(good))],
  ];

  test.each(files)(
    'row 84: %s as a model: a refusal that says so, and the next start serves',
    async (_what, make) => {
      const home = hearth.makeHome();
      const file = path.join(home.root, 'model.gguf');
      make(file);
      const daemon = hearth.spawnServe({ home, plain: true, args: ['--model', file] });
      expect(await daemon.end()).toEqual({ code: 4, signal: null });
      expect(daemon.stderr).toMatch(/model|GGUF/i);
      // A reason, not a stack.
      expect(daemon.stderr).not.toMatch(/^\s+at /m);
      expect(fs.existsSync(home.inferenceSocket)).toBe(false);

      fs.rmSync(file, { recursive: true });
      fs.writeFileSync(file, good);
      const next = await hearth.serve({ home, plain: true, args: ['--model', file] });
      const answer = await askOnce(next.home.inferenceSocket, say('next', { max_tokens: 4 }));
      expect(answer.at(-1)).toMatchObject({ type: 'done', usage: { completion_tokens: 4 } });
    },
  );
});

/** Sends up to `most` bytes without a line feed and gives how many the other side took before it closed. */
async function pour(client: RawClient, most: number): Promise<number> {
  const chunk = Buffer.alloc(mebibyte, 0x61);
  let sent = 0;
  while (sent < most && !client.ended) {
    try {
      await client.send(chunk);
    } catch {
      return sent;
    }
    sent += chunk.length;
  }
  return sent;
}

/** The two counts of a GGUF head (tensors and keys, 64 bits each from byte 8) at their largest. */
function withAbsurdCounts(model: Buffer): Buffer {
  const copy = Buffer.from(model);
  copy.fill(0xff, 8, 24);
  return copy;
}

/** Magic and version stand, everything after them up to the weights does not. */
function withGarbageHead(model: Buffer): Buffer {
  const copy = Buffer.from(model);
  for (let at = 24; at < 4096; at += 1) copy[at] = (at * 131) & 0xff;
  return copy;
}
