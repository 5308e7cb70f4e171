import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

/** How long a peer that is leaving is waited for, in milliseconds. */
export const farewellMs = 1000;

/**
 * Ends a pair of streams, which may be one and the same socket. What was written goes out first, as far as the peer
 * reads it within {@link farewellMs}; then both are destroyed. Never throws: nobody is left to be told.
 */
export async function hangUp(input: Readable, output: Writable): Promise<void> {
  input.on('error', () => undefined);
  output.on('error', () => undefined);
  // What still comes in is of no use, but unread it would keep the end of a socket from being seen.
  input.resume();
  const isSocket = Object.is(input, output);
  if (!output.destroyed && !(output.writableFinished && !isSocket)) {
    const gone = Promise.race([once(output, 'close'), ...(isSocket ? [] : [once(output, 'finish')])]);
    output.end();
    await within(
      farewellMs,
      gone.catch(() => undefined),
    );
  }
  input.destroy();
  output.destroy();
}

/** Waits for `event`, but no longer than `ms`. */
export async function within(ms: number, event: Promise<unknown>): Promise<void> {
  const enough = new AbortController();
  const patience = delay(ms, undefined, { signal: enough.signal }).catch(() => undefined);
  await Promise.race([event, patience]);
  enough.abort();
}
