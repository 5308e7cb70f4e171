import { beforeAll, describe, expect, test } from 'vitest';
import { hearthScope, type HearthProcess } from '../support/daemon.js';
import type { RawClient } from '../support/raw-client.js';
import { askOnce, say } from '../support/raw-client.js';
import { descriptorCount } from '../support/processes.js';
import { until } from '../support/wait.js';

const tokens = ['grün ', '火 ', '🔥'];
const frameBytes = 67_108_864;

describe('framing on the inference socket', () => {
  const hearth = hearthScope('file');
  let daemon: HearthProcess;
  beforeAll(async () => {
    daemon = await hearth.serve({ mock: { tokens } });
  });

  test('row 1: each frame is one UTF-8 JSON object and a single line feed', async () => {
    const client = await daemon.connect();
    const chunks: Buffer[] = [];
    client.socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    await client.sendJson(say('one\nline'));
    client.halfClose();
    await client.closed();

    const bytes = Buffer.concat(chunks);
    const lines = new TextDecoder('utf-8', { fatal: true }).decode(bytes).split('\n');
    expect(lines.pop()).toBe('');
    expect(lines).toHaveLength(4);
    for (const line of lines) {
      const value: unknown = JSON.parse(line);
      expect(value).toMatchObject({ id: 'one\nline' });
      expect(line).not.toMatch(/[\r\n]/);
      // No pretty print: a frame reads the same when written anew without spaces.
      expect(JSON.stringify(value)).toBe(line);
    }
  });

  test('row 1: two frames in one chunk are two requests', async () => {
    const client = await daemon.connect();
    await client.sendJson(say('first'), say('second'));
    client.halfClose();

    const ends = (await client.rest())
      .filter((frame) => frame['type'] === 'done')
      .map((frame) => frame['id']);
    expect(ends).toEqual(['first', 'second']);
  });

  test('row 1: a frame split after every byte, inside UTF-8 characters too, reads the same', async () => {
    const client = await daemon.connect();
    client.socket.setNoDelay();
    const id = 'é火🔥';
    for (const byte of Buffer.from(`${JSON.stringify(say(id))}\n`)) await client.send(Uint8Array.of(byte));
    client.halfClose();

    const frames = await client.rest();
    expect(frames.map((frame) => frame['id'])).toEqual([id, id, id, id]);
    expect(frames.at(-1)).toMatchObject({ type: 'done', content: tokens.join('') });
  });

  test('row 2: a line of one byte over 64 MiB is one error and a close', async () => {
    const client = await daemon.connect();
    await sendBytes(client, frameBytes + 1);

    expect(await client.rest()).toEqual([
      { id: '', type: 'error', code: 'frame_too_large', message: expect.any(String) as string },
    ]);
    await daemon.log.waitFor({ msg: 'request_oversized', transport: 'unix' });
    expect((await askOnce(daemon.home.inferenceSocket, say('next'))).at(-1)).toMatchObject({ type: 'done' });
  });

  test('row 2: a line of exactly 64 MiB is read', async () => {
    const client = await daemon.connect();
    const frame = JSON.stringify(say('big'));
    const padding = frameBytes - Buffer.byteLength(frame);
    await client.send(frame.slice(0, -1));
    await sendBytes(client, padding, 0x20);
    await client.send('}\n');

    expect((await client.reply()).at(-1)).toMatchObject({ id: 'big', type: 'done' });
    client.destroy();
  });

  test('row 4: a last line without a line feed is a request', async () => {
    const client = await daemon.connect();
    await client.send(JSON.stringify(say('trailing')));
    client.halfClose();

    expect((await client.rest()).map((frame) => frame['type'])).toEqual(['token', 'token', 'token', 'done']);
  });

  test('row 5: to connect and close without a byte leaves no frame, no complaint and no handle', async () => {
    const probe = await daemon.connect();
    await probe.ask(say('settled'));
    const descriptors = descriptorCount(daemon.pid);
    const complaints = daemon.log
      .records()
      .filter((record) => ['warn', 'error'].includes(String(record['level'])));

    const client = await daemon.connect();
    client.halfClose();
    expect(await client.rest()).toEqual([]);
    client.destroy();

    await until(
      () => (descriptorCount(daemon.pid) <= descriptors ? true : undefined),
      () => `${descriptorCount(daemon.pid)} descriptors, ${descriptors} before`,
    );
    const after = daemon.log
      .records()
      .filter((record) => ['warn', 'error'].includes(String(record['level'])));
    expect(after).toHaveLength(complaints.length);
    probe.destroy();
  });

  test('row 6: a line that is no JSON is an error with an empty id and a close', async () => {
    const client = await daemon.connect();
    await client.send('{"id":"broken",\n');

    expect(await client.rest()).toEqual([
      { id: '', type: 'error', code: 'invalid_request', message: expect.any(String) as string },
    ]);
  });
});

/** Sends `count` equal bytes in chunks of a mebibyte, each when the kernel has taken the one before. */
async function sendBytes(client: RawClient, count: number, byte = 0x61): Promise<void> {
  const chunk = Buffer.alloc(1024 * 1024, byte);
  for (let left = count; left > 0; left -= chunk.length)
    await client.send(chunk.subarray(0, Math.min(left, chunk.length)));
}
