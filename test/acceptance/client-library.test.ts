import fs from 'node:fs';
import path from 'node:path';
import { connect, ConnectError, loadVectors, runDaemonVector } from '@hearth/protocol/node';
import { ConnectionLostError } from '@hearth/protocol';
import { beforeAll, describe, expect, test } from 'vitest';
import { hearthScope, type HearthProcess } from '../support/daemon.js';
import { HeldService, serveBefore } from '../support/held-service.js';

const hello = { messages: [{ role: 'user' as const, content: 'hello' }] };
const vectors = await loadVectors();

describe('the client library', () => {
  const hearth = hearthScope('test');

  test('row 172: it waits for a daemon that is not there yet', async () => {
    const home = hearth.makeHome();
    const connecting = connect({ path: home.inferenceSocket });
    hearth.spawnServe({ home, mock: { ready_after_ms: 300 } });
    const client = await connecting;
    expect(await client.complete(hello)).toMatchObject({ content: 'mock-response' });
    client.close();
  });

  test('row 172: it gives up when its time is over', async () => {
    const home = hearth.makeHome();
    await expect(connect({ path: home.inferenceSocket }, { timeoutMs: 250 })).rejects.toThrow(ConnectError);
  });

  test('row 172: another failure than absence or refusal ends it at once', async () => {
    const home = hearth.makeHome();
    const file = path.join(home.root, 'file');
    fs.writeFileSync(file, '');
    const since = performance.now();
    // ENOTDIR: no waiting makes a directory of it. The bound of the retry is 30 s.
    await expect(connect({ path: path.join(file, 'hearth.sock') })).rejects.toThrow(ConnectError);
    expect(performance.now() - since).toBeLessThan(20_000);
  });

  test('row 173: the answer is an async iterator of pieces that returns the end', async () => {
    const daemon = await hearth.serve({ mock: { tokens: ['a', 'b', 'c'] } });
    const client = await connect({ path: daemon.home.inferenceSocket });
    const pieces: string[] = [];
    const answer = client.generate(hello);
    let step = await answer.next();
    for (; step.done !== true; step = await answer.next()) pieces.push(step.value);
    expect(pieces).toEqual(['a', 'b', 'c']);
    expect(step.value).toMatchObject({ type: 'done', content: 'abc', stop_reason: 'end' });
    client.close();
  });

  test('row 173: a signal cancels, in the daemon too', async () => {
    const daemon = await serveBefore(hearth, await HeldService.listen(['a', 'b']));
    const client = await connect({ path: daemon.home.inferenceSocket });
    const stop = new AbortController();
    const pieces: string[] = [];
    const reading = (async () => {
      for await (const piece of client.generate({ ...hello, id: 'aborted' }, { signal: stop.signal })) {
        pieces.push(piece);
        stop.abort(new Error('enough'));
      }
    })();
    await expect(reading).rejects.toThrow('enough');
    expect(pieces).toEqual(['a']);
    await daemon.log.waitFor({ msg: 'request_cancelled', req_id: 'aborted', stage: 'decode' });
  });

  test('row 173: the end of the stream without a terminal frame is an error', async () => {
    const daemon = await serveBefore(hearth, await HeldService.listen(['a', 'b']));
    const client = await connect({ path: daemon.home.inferenceSocket });
    const answer = client.generate(hello);
    expect(await answer.next()).toMatchObject({ value: 'a' });
    await daemon.crash();
    await expect(answer.next()).rejects.toThrow(ConnectionLostError);
    client.close();
  });

  test('row 173: an error frame is an error with its code', async () => {
    const daemon = await hearth.serve({ mock: { pre_stream_error: 'unavailable' } });
    const client = await connect({ path: daemon.home.inferenceSocket });
    await expect(client.complete(hello)).rejects.toMatchObject({
      code: 'backend_unavailable',
      retryable: true,
    });
    client.close();
  });
});

describe('the conformance vectors against a live daemon', () => {
  const hearth = hearthScope('file');
  let daemon: HearthProcess;
  beforeAll(async () => {
    daemon = await hearth.serve({ mock: vectors.daemon.mock });
  });

  test('row 174: there are vectors of every kind', () => {
    expect(vectors.daemon.vectors.length).toBeGreaterThan(20);
    expect(new Set(vectors.daemon.vectors.map((vector) => vector.then)).size).toBeGreaterThanOrEqual(3);
  });

  const cases = vectors.daemon.vectors.flatMap((vector) =>
    vector.chunks.map((chunking) => ({
      title: `${vector.name} (${JSON.stringify(chunking)})`,
      vector,
      chunking,
    })),
  );
  test.each(cases)('row 174: $title', async ({ vector, chunking }) => {
    expect(await runDaemonVector({ path: daemon.home.inferenceSocket }, vector, chunking)).toEqual([]);
  });
});
