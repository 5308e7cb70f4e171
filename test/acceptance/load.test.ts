import { describe, expect, test } from 'vitest';
import { hearthScope, type HearthProcess } from '../support/daemon.js';
import { descriptorCount, memory, resetPeak } from '../support/processes.js';
import type { RawClient } from '../support/raw-client.js';
import { askOnce, say } from '../support/raw-client.js';
import { until } from '../support/wait.js';

const mebibyte = 1024 * 1024;

/** Frames of about 1.5 kB from tokens of one byte: control characters in the id take six bytes each. */
const wideId = '\u0001'.repeat(250);
const manyTokens = Array.from({ length: 20_000 }, () => 'x');

describe('load', () => {
  const hearth = hearthScope('test');

  test('row 70: after 200 connections that come and go a request succeeds, and no descriptor is left', async () => {
    const daemon = await hearth.serve();
    await askOnce(daemon.home.inferenceSocket, say('before'));
    const before = await settledDescriptors(daemon);
    for (let turn = 0; turn < 200; turn += 1) (await daemon.connect()).destroy();
    expect((await askOnce(daemon.home.inferenceSocket, say('after'))).at(-1)).toMatchObject({ type: 'done' });
    await until(
      () => (descriptorCount(daemon.pid) <= before ? true : undefined),
      () => `${descriptorCount(daemon.pid)} descriptors, ${before} before`,
    );
  });

  test('row 71: fifty clients at once: fifty done, no error', async () => {
    const mock = { tokens: Array.from({ length: 8 }, (_, index) => `t${index} `), token_delay_ms: 5 };
    const daemon = await hearth.serve({ mock, args: ['--active-permits', '50', '--queue-depth', '50'] });
    const since = performance.now();
    const replies = await Promise.all(
      Array.from({ length: 50 }, (_, index) => askOnce(daemon.home.inferenceSocket, say(`c${index}`))),
    );
    expect(performance.now() - since).toBeLessThan(30_000);
    for (const [index, frames] of replies.entries()) {
      expect(frames).toHaveLength(9);
      expect(frames.map((frame) => frame['id'])).toEqual(frames.map(() => `c${index}`));
      expect(frames.at(-1)).toMatchObject({ type: 'done', content: 't0 t1 t2 t3 t4 t5 t6 t7 ' });
    }
  });

  test('row 72: a peer that does not read is dropped after the write timeout, and its slot is free', async () => {
    const args = ['--write-timeout-secs', '1', '--queue-depth', '1'];
    const daemon = await hearth.serve({ mock: { tokens: manyTokens }, args });
    const mute = await daemon.connect();
    mute.socket.pause();
    await mute.sendJson(say(wideId, { max_tokens: manyTokens.length }));

    // The victim waits behind it for the only slot.
    const victim = await askOnce(
      daemon.home.inferenceSocket,
      say('victim', { max_tokens: 3, stream: false }),
    );
    expect(victim).toMatchObject([{ id: 'victim', type: 'done', content: 'xxx' }]);
    await daemon.log.waitFor({ msg: 'write_timeout', level: 'warn', after_ms: 1000 });
    mute.socket.resume();
    await mute.closed();
    mute.destroy();
  });

  test('row 72: 0 switches the bound off, with a warning', async () => {
    const daemon = await hearth.serve({ args: ['--write-timeout-secs', '0'] });
    await daemon.stop();
    expect(daemon.stderr).toMatch(/write.timeout/i);
    const bounded = await hearth.serve();
    await bounded.stop();
    expect(bounded.stderr).not.toMatch(/write.timeout/i);
  });

  test('row 73: readers that do not read make the daemon hold back, not hoard', async () => {
    const args = ['--active-permits', '8'];
    const daemon = await hearth.serve({ mock: { tokens: manyTokens }, args });
    const wide = say(wideId, { max_tokens: manyTokens.length });
    // A first whole stream brings the heap to the size that serving takes.
    expect(await countTokens(daemon, wide)).toBe(manyTokens.length);

    const slow = await Promise.all(Array.from({ length: 6 }, () => daemon.connect()));
    for (const one of slow) one.socket.pause();
    resetPeak(daemon.pid);
    const before = memory(daemon.pid).now;
    await Promise.all(slow.map((one) => one.sendJson(wide)));
    // While another reads 30 MB to the end, each of the six could have been given as much.
    expect(await countTokens(daemon, wide)).toBe(manyTokens.length);
    const grown = memory(daemon.pid).peak - before;
    expect(grown).toBeLessThan(48 * mebibyte);

    // What was held back still comes, whole.
    for (const one of slow.slice(0, 2)) {
      one.socket.resume();
      const frames = await one.reply();
      expect(frames).toHaveLength(manyTokens.length + 1);
    }
    for (const one of slow) one.destroy();
  });
});

/** Tokens of one whole stream. */
async function countTokens(daemon: HearthProcess, request: unknown): Promise<number> {
  const client: RawClient = await daemon.connect();
  const frames = await client.ask(request);
  client.destroy();
  expect(frames.at(-1)).toMatchObject({ type: 'done' });
  return frames.length - 1;
}

/** Descriptors once earlier connections are gone: the count that two looks in a row agree on. */
async function settledDescriptors(daemon: HearthProcess): Promise<number> {
  let last = -1;
  return until(
    () => {
      const count = descriptorCount(daemon.pid);
      const settled = count === last ? count : undefined;
      last = count;
      return settled;
    },
    () => 'the number of descriptors does not settle',
  );
}
