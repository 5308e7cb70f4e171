import { describe, expect, test } from 'vitest';
import { ConnectionLostError, createClient, encodeFrameBytes, type Transport } from '../src/index.js';
import type { HearthClient } from '../src/client.js';
import { resendingClient } from './resending.js';

const messages = [{ role: 'user' as const, content: 'hello' }];

/** A connection whose daemon says `lines` to the first request, and then goes away unless the answer is complete. */
function connection(...types: readonly ('token' | 'done')[]): { client: HearthClient; sent: string[] } {
  const sent: string[] = [];
  let arrived: () => void = () => undefined;
  const request = new Promise<void>((resolve) => (arrived = resolve));
  async function* chunks(): AsyncGenerator<Uint8Array> {
    await request;
    for (const type of types) {
      const rest = {
        content: type,
        usage: { prompt_tokens: 0, completion_tokens: 1 },
        stop_reason: 'end',
        backend: 'b',
      };
      yield encodeFrameBytes({ id: 'r', type, ...(type === 'token' ? { content: 't' } : rest) });
    }
    if (types.includes('done')) await new Promise(() => undefined);
  }
  const transport: Transport = {
    chunks: chunks(),
    send: (bytes) => {
      sent.push(new TextDecoder().decode(bytes));
      arrived();
      return Promise.resolve();
    },
    close: () => undefined,
  };
  return { client: createClient(transport), sent };
}

describe('a client that outlives its connection', () => {
  test('a request without a frame is sent once more, as it was', async () => {
    const [dying, next] = [connection(), connection('token', 'done')];
    const client = resendingClient(dying.client, () => Promise.resolve(next.client));
    expect(await client.complete({ id: 'r', messages })).toMatchObject({ content: 'done' });
    expect(next.sent).toEqual(dying.sent);
    client.close();
  });

  test('one that had a frame is not: its text cannot be had twice the same', async () => {
    let opened = 0;
    const client = resendingClient(connection('token').client, () => {
      opened += 1;
      return Promise.resolve(connection('done').client);
    });
    await expect(client.complete({ id: 'r', messages })).rejects.toThrow(ConnectionLostError);
    expect(opened).toBe(0);
  });

  test('one that is lost a second time is lost', async () => {
    let opened = 0;
    const client = resendingClient(connection().client, () => {
      opened += 1;
      return Promise.resolve(connection().client);
    });
    await expect(client.complete({ id: 'r', messages })).rejects.toThrow(ConnectionLostError);
    expect(opened).toBe(1);
  });

  test('where no new connection comes about the request is lost, and the next tries again', async () => {
    const outcomes = [
      () => Promise.reject(new Error('nobody')),
      () => Promise.resolve(connection('done').client),
    ];
    const client = resendingClient(connection().client, () => outcomes.shift()!());
    await expect(client.complete({ id: 'r', messages })).rejects.toMatchObject({
      name: 'ConnectionLostError',
      cause: new Error('nobody'),
    });
    expect(await client.complete({ id: 'r', messages })).toMatchObject({ content: 'done' });
    client.close();
  });

  test('requests that were lost together share one new connection', async () => {
    let opened = 0;
    const answered = connection('done');
    const client = resendingClient(connection().client, () => {
      opened += 1;
      return Promise.resolve(answered.client);
    });
    const other = client.complete({ id: 'other', messages });
    other.catch(() => undefined);
    expect(await client.complete({ id: 'r', messages })).toMatchObject({ content: 'done' });
    expect(opened).toBe(1);
    expect(answered.sent).toHaveLength(2);
    client.close();
  });

  test('a client that was closed sends nothing again', async () => {
    let opened = 0;
    const client = resendingClient(connection('done').client, () => {
      opened += 1;
      return Promise.resolve(connection('done').client);
    });
    await client.complete({ id: 'r', messages });
    client.close();
    await Promise.resolve();
    await expect(client.complete({ id: 'r', messages })).rejects.toThrow(ConnectionLostError);
    expect(opened).toBe(0);
  });

  test('aborting ends the wait for a new connection with the reason', async () => {
    const controller = new AbortController();
    const client = resendingClient(connection().client, () => {
      controller.abort(new Error('enough'));
      return new Promise(() => undefined);
    });
    await expect(client.complete({ id: 'r', messages }, { signal: controller.signal })).rejects.toThrow(
      'enough',
    );
    client.close();
  });
});
