import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import { HearthError } from '@hearth/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BoundedWriter,
  type BoundedWriterOptions,
  defaultWriteTimeoutMs,
  type Schedule,
} from './bounded-writer.js';

/** A stream that takes writes only when told to. */
class Gate extends Writable {
  readonly taken: string[] = [];
  largest = 0;
  #release: (() => void) | undefined;

  constructor(highWaterMark = 4) {
    super({ highWaterMark, decodeStrings: true });
  }

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.largest = Math.max(this.largest, this.writableLength);
    this.#release = () => {
      this.taken.push(chunk.toString());
      callback();
    };
  }

  get stuck(): boolean {
    return this.#release !== undefined;
  }

  /** The reader takes one chunk. */
  async take(): Promise<void> {
    const release = this.#release;
    this.#release = undefined;
    release?.();
    await settled();
  }
}

/** Lets promises, ticks and stream events run. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** A clock that moves by hand. */
function manualClock(): { readonly schedule: Schedule; advance(ms: number): void; readonly pending: number } {
  let now = 0;
  const timers = new Set<{ readonly at: number; readonly callback: () => void }>();
  return {
    schedule: (delayMs, callback) => {
      const timer = { at: now + delayMs, callback };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    advance: (ms) => {
      now += ms;
      for (const timer of [...timers].filter(({ at }) => at <= now)) {
        if (timers.delete(timer)) timer.callback();
      }
    },
    get pending() {
      return timers.size;
    },
  };
}

function open(options: BoundedWriterOptions = {}, highWaterMark?: number) {
  const gate = new Gate(highWaterMark);
  const clock = manualClock();
  const log: string[] = [];
  const writer = new BoundedWriter(gate, { schedule: clock.schedule, ...options });
  const write = (text: string): void => {
    writer.write(text).then(
      () => log.push(text),
      (error: unknown) => log.push(`${text}:${error instanceof HearthError ? error.code : String(error)}`),
    );
  };
  return { gate, clock, log, writer, write };
}

describe('row 73: writing at the pace of the reader', () => {
  it('resolves at once while the buffer is below its high-water mark', async () => {
    const { log, write, clock } = open();
    write('abc');
    await settled();
    expect(log).toEqual(['abc']);
    expect(clock.pending).toBe(0);
  });

  it('waits while the buffer is full, and resolves when it has emptied', async () => {
    const { gate, log, write, clock } = open();
    write('abcdef');
    await settled();
    expect(log).toEqual([]);
    await gate.take();
    expect(log).toEqual(['abcdef']);
    expect(clock.pending).toBe(0);
  });

  it('lets writers take turns, in the order in which they came, one frame above the mark at a time', async () => {
    const { gate, log, write } = open();
    for (const text of ['aaaa', 'bbbb', 'cccc']) write(text);
    await settled();
    expect([log, gate.largest]).toEqual([[], 4]);
    for (let n = 0; n < 3; n += 1) await gate.take();
    expect(log).toEqual(['aaaa', 'bbbb', 'cccc']);
    expect(gate.taken).toEqual(['aaaa', 'bbbb', 'cccc']);
    expect(gate.largest).toBe(4);
  });

  it('for all frames and writers: order is kept, and the buffer holds at most its mark and one frame', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 30 }),
        fc.integer({ min: 1, max: 12 }),
        async (sizes, mark) => {
          const { gate, log, write } = open({}, mark);
          const frames = sizes.map((size, n) => String.fromCharCode(97 + (n % 26)).repeat(size));
          for (const frame of frames) write(frame);
          await settled();
          while (gate.stuck) await gate.take();
          expect(log).toEqual(frames);
          expect(gate.taken.join('')).toBe(frames.join(''));
          expect(gate.largest).toBeLessThan(mark + 9);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('refuses a writer that does not await its writes', async () => {
    const { log, write } = open({ maxWaiting: 2 });
    for (const text of ['aaaa', 'bbbb', 'cccc']) write(text);
    await settled();
    expect(log).toEqual(['cccc:Error: too many writes wait']);
  });
});

describe('row 72: a reader that does not read', () => {
  it('fails the write as slow_consumer after the timeout and destroys the connection', async () => {
    const { gate, clock, log, write } = open({ writeTimeoutMs: 1000 });
    write('abcd');
    await settled();
    clock.advance(999);
    await settled();
    expect([log, gate.destroyed]).toEqual([[], false]);
    clock.advance(1);
    await settled();
    expect([log, gate.destroyed]).toEqual([['abcd:slow_consumer'], true]);
    expect(clock.pending).toBe(0);
  });

  it('waits 60 s where nothing else is said', async () => {
    const { clock, log, write } = open();
    write('abcd');
    clock.advance(defaultWriteTimeoutMs - 1);
    await settled();
    expect([defaultWriteTimeoutMs, log]).toEqual([60_000, []]);
    clock.advance(1);
    await settled();
    expect(log).toEqual(['abcd:slow_consumer']);
  });

  it('counts from the call, the wait for others included; only who was late is told so', async () => {
    const { clock, log, write } = open({ writeTimeoutMs: 1000 });
    write('aaaa');
    clock.advance(600);
    write('bbbb');
    clock.advance(400);
    await settled();
    expect(log).toEqual(['aaaa:slow_consumer', 'bbbb:cancelled']);
  });

  it('measures each write anew: a reader that is slow but reads is served', async () => {
    const { gate, clock, log, write } = open({ writeTimeoutMs: 1000 });
    for (let n = 0; n < 5; n += 1) {
      write(`aaa${n}`);
      clock.advance(900);
      await gate.take();
    }
    expect(log).toEqual(['aaa0', 'aaa1', 'aaa2', 'aaa3', 'aaa4']);
  });

  it('0 waits for ever', async () => {
    const { gate, clock, log, write } = open({ writeTimeoutMs: 0 });
    write('abcd');
    expect(clock.pending).toBe(0);
    await gate.take();
    expect(log).toEqual(['abcd']);
  });
});

describe('a connection that closes', () => {
  it('ends every write that waits, and every later one, as cancelled', async () => {
    const { gate, clock, log, write } = open();
    write('aaaa');
    write('bbbb');
    gate.destroy();
    await settled();
    write('cccc');
    await settled();
    expect(log).toEqual(['aaaa:cancelled', 'bbbb:cancelled', 'cccc:cancelled']);
    expect(clock.pending).toBe(0);
    expect(gate.listenerCount('drain')).toBe(0);
  });

  it('refuses a write after our own end', async () => {
    const { gate, log, write } = open();
    gate.end();
    write('aaaa');
    await settled();
    expect(log).toEqual(['aaaa:cancelled']);
  });
});

it('row 72: over a real socket a peer that never reads is dropped, and memory stays bounded', async () => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'hearth-writer-'));
  const server = net.createServer();
  server.listen(path.join(root, 's'));
  await once(server, 'listening');
  const connection = once(server, 'connection');
  const client = net.connect(path.join(root, 's')).on('error', () => undefined);
  client.pause();
  const [socket] = (await connection) as [net.Socket];
  socket.on('error', () => undefined);
  const writer = new BoundedWriter(socket, { writeTimeoutMs: 100 });
  const frame = 'x'.repeat(64 * 1024);
  let largest = 0;
  const flood = async (): Promise<void> => {
    for (;;) {
      await writer.write(frame);
      largest = Math.max(largest, socket.writableLength);
    }
  };
  await expect(flood()).rejects.toMatchObject({ code: 'slow_consumer' });
  expect(largest).toBeLessThanOrEqual(frame.length + socket.writableHighWaterMark);
  expect(socket.destroyed).toBe(true);
  client.destroy();
  await new Promise((resolve) => server.close(resolve));
  fs.rmSync(root, { recursive: true, force: true });
});
