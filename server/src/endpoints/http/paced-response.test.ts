import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Exchange } from './exchange.js';
import { PacedResponse } from './paced-response.js';

/** What a client of a paced answer gets, in time that the test moves. */

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** Stands for Node's response: a client that takes nothing while `isFull`. */
class Client extends EventEmitter {
  readonly got: string[] = [];
  headersSent = false;
  writableNeedDrain = false;
  isFull = false;
  destroyed = false;

  writeHead(status: number): void {
    this.headersSent = true;
    this.got.push(`head ${status}`);
  }

  flushHeaders(): void {
    this.got.push('flushed');
  }

  write(text: string): boolean {
    this.got.push(text);
    this.writableNeedDrain = this.isFull;
    return !this.isFull;
  }

  end(text: string): void {
    this.got.push(`end ${text}`);
  }

  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }

  drain(): void {
    this.isFull = false;
    this.writableNeedDrain = false;
    this.emit('drain');
  }
}

function begin(heartbeat = ': waiting\n\n', writeTimeoutMs = 2000) {
  const client = new Client();
  const gone = new AbortController();
  const exchange: Pick<Exchange, 'response' | 'settings' | 'signal'> = {
    response: client as unknown as ServerResponse,
    settings: { writeTimeoutMs } as Exchange['settings'],
    signal: gone.signal,
  };
  const paced = new PacedResponse(exchange as Exchange, { contentType: 'text/event-stream', heartbeat });
  return { client, gone, paced };
}

describe('silence', () => {
  test('given no piece for ten seconds, then the head goes out, and a heartbeat every ten', () => {
    const { client, paced } = begin();
    vi.advanceTimersByTime(9999);
    expect(client.got).toEqual([]);
    expect(paced.hasBegun).toBe(false);
    vi.advanceTimersByTime(10_001);
    expect(client.got).toEqual(['head 200', ': waiting\n\n', ': waiting\n\n']);
    paced.stop();
    vi.advanceTimersByTime(60_000);
    expect(client.got).toHaveLength(3);
  });

  test('given a format without comments, then the head alone goes out', () => {
    const { client } = begin('');
    vi.advanceTimersByTime(10_000);
    expect(client.got).toEqual(['head 200', 'flushed']);
  });

  test('given pieces, then ten seconds are counted from the last', () => {
    const { client, paced } = begin();
    vi.advanceTimersByTime(9000);
    void paced.write('a');
    vi.advanceTimersByTime(9000);
    expect(client.got).toEqual(['head 200', 'a']);
    paced.end('b');
    vi.advanceTimersByTime(60_000);
    expect(client.got).toEqual(['head 200', 'a', 'end b']);
  });

  test('given a client that has gone or is full, then no heartbeat is written', () => {
    const full = begin();
    full.client.isFull = true;
    void full.paced.write('a');
    vi.advanceTimersByTime(1000);
    const gone = begin();
    gone.gone.abort();
    vi.advanceTimersByTime(60_000);
    expect(full.client.got).toEqual(['head 200', 'a']);
    expect(gone.client.got).toEqual([]);
  });
});

describe('a slow reader', () => {
  test('given a client that takes again in time, then the next piece waits for it', async () => {
    const { client, paced } = begin();
    client.isFull = true;
    let isTaken = false;
    const taken = paced.write('a')?.then(() => (isTaken = true));
    await vi.advanceTimersByTimeAsync(1999);
    expect(isTaken).toBe(false);
    client.drain();
    await taken;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(client.destroyed).toBe(false);
  });

  test('given a client that takes nothing for the time, then it is cut off and nothing waits for it', async () => {
    const { client, paced } = begin();
    client.isFull = true;
    const taken = paced.write('a');
    await vi.advanceTimersByTimeAsync(2000);
    await taken;
    expect(client.destroyed).toBe(true);
  });
});
