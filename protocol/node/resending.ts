import { clientOf, ConnectionLostError } from '../src/client.js';
import type { ClientRequest, HearthClient, RequestOptions } from '../src/client.js';
import type { ResponseFrame } from '../src/frames.js';

/**
 * A client that outlives its connection. A request whose connection was lost before any frame of its answer came is
 * sent once more, on a new connection; one that had a frame already is not, since its text cannot be had twice the
 * same, and neither is one that was lost a second time. A client that was closed opens nothing.
 *
 * @param first the connection that stands
 * @param reconnect opens another; all requests that were lost together share it
 */
export function resendingClient(
  first: HearthClient,
  reconnect: (signal: AbortSignal) => Promise<HearthClient>,
): HearthClient {
  const closed = new AbortController();
  let current: Promise<HearthClient> = Promise.resolve(first);

  function replace(lost: Promise<HearthClient>): Promise<HearthClient> {
    if (current !== lost) return current;
    current = reconnect(closed.signal);
    // Whoever waits for it hears of the failure; here it must not count as unheard.
    current.catch(() => undefined);
    return current;
  }

  async function* frames(
    request: ClientRequest,
    options?: RequestOptions,
  ): AsyncGenerator<ResponseFrame, void, void> {
    const used = current;
    let lost: ConnectionLostError;
    let heard = false;
    try {
      const client = await used.catch(() => first);
      for await (const frame of client.frames(request, options)) {
        heard = true;
        yield frame;
      }
      return;
    } catch (error) {
      if (heard || closed.signal.aborted || !(error instanceof ConnectionLostError)) throw error;
      lost = error;
    }
    const client = await orAborted(replace(used), options?.signal).catch((cause: unknown) => {
      options?.signal?.throwIfAborted();
      throw new ConnectionLostError(lost.requestId, { cause });
    });
    yield* client.frames(request, options);
  }

  return clientOf(frames, () => {
    closed.abort();
    current.then(
      (client) => {
        client.close();
      },
      () => undefined,
    );
  });
}

/** `promise`, unless `signal` is aborted first. */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  signal.throwIfAborted();
  let stop: () => void = () => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => {
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
