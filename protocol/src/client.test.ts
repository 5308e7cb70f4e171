import { describe, expect, test } from 'vitest';
import { BoundedQueue } from './bounded-queue.js';
import { ConnectionLostError, createClient, ProtocolError } from './client.js';
import type { ClientOptions, HearthClient, Transport } from './client.js';
import { HearthError } from './errors.js';
import type { ResponseFrame } from './frames.js';
import { encodeFrameBytes, NdjsonDecoder, parseLine } from './ndjson.js';
import type { JsonObject } from './json.js';
import { utf8Bytes } from './text.js';

const messages = [{ role: 'user' as const, content: 'hi' }];
const usage = { prompt_tokens: 1, completion_tokens: 1 };
const token = (id: string, content: string): ResponseFrame => ({ id, type: 'token', content });
const done = (id: string, content = ''): ResponseFrame => ({
  id,
  type: 'done',
  content,
  usage,
  stop_reason: 'end',
  backend: 'mock',
});

/** The daemon's end of a connection that is all in memory. */
interface Daemon {
  readonly client: HearthClient;
  /** The next request that came. */
  request(): Promise<JsonObject>;
  write(...frames: ResponseFrame[]): void;
  writeBytes(bytes: Uint8Array): void;
  end(): void;
  /** Chunks that the client has taken. */
  readonly taken: () => number;
  /** Resolves when the client has closed. */
  readonly closed: Promise<void>;
}

function connected(options?: ClientOptions): Daemon {
  const requests = new BoundedQueue<JsonObject>(1000);
  const chunks: (Uint8Array | 'end')[] = [];
  let wake: (() => void) | undefined;
  let taken = 0;
  let markClosed: () => void = () => undefined;
  const closed = new Promise<void>((resolve) => (markClosed = resolve));
  const feed = (chunk: Uint8Array | 'end'): void => {
    chunks.push(chunk);
    wake?.();
  };
  const decoder = new NdjsonDecoder();
  const transport: Transport = {
    send: async (bytes) => {
      for (const line of decoder.push(bytes)) {
        const parsed = parseLine(line);
        if (parsed.kind === 'value') await requests.push(parsed.value);
      }
    },
    chunks: (async function* () {
      for (;;) {
        const chunk = chunks.shift();
        if (chunk === 'end') return;
        if (chunk === undefined) await new Promise<void>((resolve) => (wake = resolve));
        else {
          taken += 1;
          yield chunk;
        }
      }
    })(),
    close: () => {
      feed('end');
      markClosed();
    },
  };
  return {
    client: createClient(transport, options),
    request: () => requests.next(),
    write: (...frames) => {
      for (const frame of frames) feed(encodeFrameBytes(frame));
    },
    writeBytes: feed,
    end: () => {
      feed('end');
    },
    taken: () => taken,
    closed,
  };
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe('one request', () => {
  test('row 173: frames come in order and end with the terminal one', async () => {
    const daemon = connected();
    const frames = collect(daemon.client.frames({ id: 'a', messages }));
    expect(await daemon.request()).toEqual({ id: 'a', messages });
    daemon.write(token('a', 'x'), token('a', 'y'), done('a', 'xy'));
    expect(await frames).toEqual([token('a', 'x'), token('a', 'y'), done('a', 'xy')]);
  });

  test('row 173: generate gives texts and returns the done frame', async () => {
    const daemon = connected();
    const pieces = daemon.client.generate({ id: 'a', messages });
    const first = pieces.next();
    await daemon.request();
    daemon.write(token('a', 'x'), done('a', 'x'));
    expect(await first).toEqual({ done: false, value: 'x' });
    expect(await pieces.next()).toEqual({ done: true, value: done('a', 'x') });
  });

  test('row 173: an error frame is thrown by generate and given by frames', async () => {
    const daemon = connected();
    const error: ResponseFrame = { id: 'a', type: 'error', code: 'queue_full', message: 'queue full' };
    const raw = collect(daemon.client.frames({ id: 'a', messages }));
    await daemon.request();
    daemon.write(error);
    expect(await raw).toEqual([error]);
    const answer = daemon.client.complete({ id: 'a', messages });
    await daemon.request();
    daemon.write(error);
    await expect(answer).rejects.toMatchObject({ name: 'HearthError', code: 'queue_full', retryable: true });
  });

  test('row 173: the end of the connection without a terminal frame is thrown, after the frames that came', async () => {
    const daemon = connected();
    const pieces = daemon.client.generate({ id: 'a', messages });
    const first = pieces.next();
    await daemon.request();
    daemon.write(token('a', 'x'));
    daemon.writeBytes(utf8Bytes('{"id":"a","type":"do'));
    daemon.end();
    expect(await first).toEqual({ done: false, value: 'x' });
    await expect(pieces.next()).rejects.toMatchObject({ name: 'ConnectionLostError', requestId: 'a' });
    await expect(daemon.client.complete({ messages })).rejects.toThrow(ConnectionLostError);
  });

  test('a last frame without a line feed counts', async () => {
    const daemon = connected();
    const answer = daemon.client.complete({ id: 'a', messages });
    await daemon.request();
    daemon.writeBytes(utf8Bytes(JSON.stringify(done('a', 'all'))));
    daemon.end();
    expect(await answer).toEqual(done('a', 'all'));
  });

  test('row 173: aborting throws the reason and closes the connection', async () => {
    const daemon = connected();
    const controller = new AbortController();
    const answer = daemon.client.complete({ messages }, { signal: controller.signal });
    await daemon.request();
    controller.abort(new Error('enough'));
    await expect(answer).rejects.toThrow('enough');
    await daemon.closed;
  });

  test('row 173: leaving the loop closes the connection', async () => {
    const daemon = connected();
    const leaving = (async () => {
      for await (const text of daemon.client.generate({ id: 'a', messages })) return text;
      return undefined;
    })();
    await daemon.request();
    daemon.write(token('a', 'x'));
    expect(await leaving).toBe('x');
    await daemon.closed;
  });

  test('a signal that is aborted already sends nothing', async () => {
    const daemon = connected();
    const signal = AbortSignal.abort(new Error('never'));
    await expect(daemon.client.complete({ messages }, { signal })).rejects.toThrow('never');
    const other = daemon.client.complete({ id: 'other', messages });
    expect(await daemon.request()).toMatchObject({ id: 'other' });
    daemon.write(done('other'));
    await other;
  });

  test('what is no frame closes the connection', async () => {
    const daemon = connected();
    const answer = daemon.client.complete({ messages });
    await daemon.request();
    daemon.writeBytes(utf8Bytes('HTTP/1.1 400 Bad Request\r\n'));
    await expect(answer).rejects.toThrow(ProtocolError);
    await daemon.closed;
  });

  test('frames of unknown types and of unknown ids are passed over', async () => {
    const daemon = connected();
    const answer = collect(daemon.client.frames({ id: 'a', messages }));
    await daemon.request();
    daemon.writeBytes(utf8Bytes('{"id":"a","type":"of_the_future"}\n'));
    daemon.write(token('b', 'not mine'), done('a'));
    expect(await answer).toEqual([done('a')]);
  });

  test('an error under the empty id speaks of the connection', async () => {
    const daemon = connected();
    const answer = daemon.client.complete({ messages });
    await daemon.request();
    daemon.write({ id: '', type: 'error', code: 'frame_too_large', message: 'too large' });
    await expect(answer).rejects.toMatchObject({ code: 'frame_too_large' });
    await daemon.closed;
  });
});

describe('many requests on one connection', () => {
  test('their frames are told apart by ids, which are given where they lack', async () => {
    const daemon = connected();
    const answers = [1, 2, 3].map(() => collect(daemon.client.frames({ messages })));
    const ids: string[] = [];
    for (let count = 0; count < 3; count += 1) ids.push(String((await daemon.request())['id']));
    expect(new Set(ids).size).toBe(3);
    for (const id of [...ids].reverse()) daemon.write(token(id, id));
    for (const id of ids) daemon.write(done(id));
    expect(await Promise.all(answers)).toEqual(ids.map((id) => [token(id, id), done(id)]));
  });

  test('an id in flight, or one too long, is refused before it is sent', async () => {
    const daemon = connected();
    const first = daemon.client.complete({ id: 'a', messages });
    await daemon.request();
    for (const id of ['a', 'i'.repeat(257)]) {
      const second = daemon.client.complete({ id, messages });
      await expect(second).rejects.toThrow(HearthError);
      await expect(second).rejects.toMatchObject({ code: 'invalid_request' });
    }
    daemon.write(done('a'));
    await first;
  });

  test('an abandoned request does not close the connection while another is in flight', async () => {
    const daemon = connected();
    const controller = new AbortController();
    const abandoned = daemon.client.complete({ id: 'a', messages }, { signal: controller.signal });
    const kept = daemon.client.complete({ id: 'b', messages });
    await daemon.request();
    await daemon.request();
    controller.abort(new Error('enough'));
    await expect(abandoned).rejects.toThrow('enough');
    daemon.write(token('a', 'late'), done('b', 'kept'));
    expect(await kept).toEqual(done('b', 'kept'));
    await daemon.closed;
  });

  test('row 173: a lost connection fails all of them', async () => {
    const daemon = connected();
    const answers = ['a', 'b'].map((id) => daemon.client.complete({ id, messages }));
    daemon.end();
    for (const [index, answer] of answers.entries()) {
      await expect(answer).rejects.toMatchObject({
        name: 'ConnectionLostError',
        requestId: index === 0 ? 'a' : 'b',
      });
    }
  });

  test('a consumer that stands still holds the reading back', async () => {
    const daemon = connected({ queueFrames: 4 });
    const frames = daemon.client.frames({ id: 'a', messages });
    const first = frames.next();
    await daemon.request();
    daemon.write(...Array.from({ length: 100 }, (_, index) => token('a', String(index))), done('a'));
    await first;
    // A turn of the event loop lets everything run that can run without the consumer.
    await new Promise((resolve) => setImmediate(resolve));
    expect(daemon.taken()).toBeLessThanOrEqual(6);
    expect(await collect(frames)).toHaveLength(100);
  });
});

test('close fails what is in flight and may be called again', async () => {
  const daemon = connected();
  const answer = daemon.client.complete({ id: 'a', messages });
  await daemon.request();
  daemon.client.close();
  daemon.client.close();
  await expect(answer).rejects.toThrow(ConnectionLostError);
  await daemon.closed;
});
