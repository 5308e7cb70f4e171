import { BoundedQueue } from './bounded-queue.js';
import { HearthError } from './errors.js';
import { isTerminal } from './frames.js';
import type { AnswerFrame, DoneFrame, ErrorFrame, ResponseFrame } from './frames.js';
import { limits } from './limits.js';
import { encodeFrameBytes, NdjsonDecoder } from './ndjson.js';
import type { DecodedLine } from './ndjson.js';
import { readResponse } from './read-frames.js';
import type { GenerateRequestInput } from './request.js';
import type { TypedRequestInput } from './typed-requests.js';

/**
 * A client of the inference socket that knows nothing of sockets.
 *
 * Failure: the daemon's own `error` frames are {@link HearthError}s. A connection that ends before an answer has
 * its terminal frame is a {@link ConnectionLostError}, for every request in flight on it. Nothing is ever sent
 * again here: whether to ask anew is for whoever has the connection, such as `connect` in protocol/node.
 */

/** A connection as the client needs it. */
export interface Transport {
  /** Sends bytes. Resolves when more may follow; rejects when the connection is gone. */
  send(bytes: Uint8Array): Promise<void>;
  /** What arrives, in order. Iterated once; not iterating is how a slow reader holds the daemon back. */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Closes both directions at once. May be called again. */
  close(): void;
}

export interface ClientOptions {
  /**
   * Most frames that wait for the consumer of one request. When one request's queue is full nothing more is read
   * for any request of this connection until its consumer goes on.
   * @default 256
   */
  readonly queueFrames?: number;
}

export interface RequestOptions {
  /** Cancels the request. The iteration then throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What a client can ask for: a generation, or one of the typed requests. */
export type ClientRequest = GenerateRequestInput | TypedRequestInput;

/** A connection to the daemon. Many requests may be in flight on it at once. */
export interface HearthClient {
  /**
   * Sends `request` when the iteration begins and gives its frames as they come. Ends after the terminal frame:
   * `done`, `error`, or what a typed request is answered with.
   *
   * A request without an id, or with an empty one, is given one.
   *
   * Aborting the signal, or leaving the loop early, ends the work in the daemon: by closing the connection where
   * every other request on it is over, else by a `cancel` request. What still comes for it is dropped.
   *
   * @throws ConnectionLostError when the connection ends before the terminal frame.
   * @throws HearthError `frame_too_large` for a request that is too large to send, `invalid_request` for an id
   *   that is too long or in flight on this connection already and for `wire_version`, whose replies have other frames, and what the daemon said before it closed the connection.
   * @throws the signal's reason when it was aborted.
   */
  frames(request: ClientRequest, options?: RequestOptions): AsyncGenerator<ResponseFrame, void, void>;

  /**
   * The pieces of the answer as they come; returns the `done` frame. Otherwise as {@link frames}.
   *
   * @throws HearthError for an `error` frame, with its code and message.
   */
  generate(request: GenerateRequestInput, options?: RequestOptions): AsyncGenerator<string, DoneFrame, void>;

  /** The `done` frame alone, which holds the whole text. Otherwise as {@link generate}. */
  complete(request: GenerateRequestInput, options?: RequestOptions): Promise<DoneFrame>;

  /**
   * The one frame that answers a typed request, or a generation with `dry_run`. Otherwise as {@link frames}.
   *
   * @throws HearthError for an `error` frame, with its code and message.
   */
  ask(request: ClientRequest, options?: RequestOptions): Promise<AnswerFrame>;

  /** Closes the connection; requests in flight throw {@link ConnectionLostError}. May be called again. */
  close(): void;
}

/** The connection ended before the answer was complete. */
export class ConnectionLostError extends Error {
  override readonly name = 'ConnectionLostError';

  constructor(
    /** Of the request that was waiting. */
    readonly requestId: string,
    options: { readonly cause?: unknown } = {},
  ) {
    super(
      'The connection to the daemon ended before the answer was complete. Ask again if you still want it.',
      'cause' in options ? { cause: options.cause } : undefined,
    );
  }
}

/** What the daemon sent cannot be understood. The connection has been closed. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

interface Flight {
  readonly queue: BoundedQueue<ResponseFrame>;
  /** Nobody reads its frames any more. */
  abandoned: boolean;
}

type ConnectionState = { readonly kind: 'open' } | { readonly kind: 'closed'; readonly cause: unknown };

/** A client on `transport`, which it owns from now on. */
export function createClient(transport: Transport, options: ClientOptions = {}): HearthClient {
  const queueFrames = options.queueFrames ?? 256;
  const flights = new Map<string, Flight>();
  let state: ConnectionState = { kind: 'open' };
  let lastNumber = 0;

  function close(cause?: unknown): void {
    if (state.kind === 'closed') return;
    state = { kind: 'closed', cause };
    for (const [id, flight] of flights) flight.queue.fail(causeFor(id, cause));
    flights.clear();
    transport.close();
  }

  async function receive(): Promise<void> {
    const decoder = new NdjsonDecoder();
    try {
      for await (const chunk of transport.chunks) {
        for (const line of decoder.push(chunk)) await dispatch(line);
      }
      // A whole frame may lack its line feed; half a frame is part of the lost connection.
      for (const line of decoder.end()) {
        if (readResponse(line).kind === 'frame') await dispatch(line);
      }
      close();
    } catch (error) {
      close(error);
    }
  }

  async function dispatch(line: DecodedLine): Promise<void> {
    const reading = readResponse(line);
    if (reading.kind === 'ignored') return;
    if (reading.kind === 'malformed') throw new ProtocolError('The daemon sent something that is no frame.');
    const { frame } = reading;
    const flight = flights.get(frame.id);
    if (flight === undefined) {
      // An error under no request's id speaks of the connection: the daemon closes it next.
      if (frame.type === 'error' && frame.id === '') throw new HearthError(frame.code, frame.message);
      return;
    }
    if (isTerminal(frame)) flights.delete(frame.id);
    await flight.queue.push(frame);
    closeIfAllAbandoned();
  }

  function takeId(wanted: string | undefined): string {
    if (wanted !== undefined && wanted !== '') {
      // The daemon could not echo it, and its answer would speak of the whole connection.
      if (wanted.length > limits.idLength) {
        throw new HearthError('invalid_request', `id: must have at most ${limits.idLength} characters.`);
      }
      if (!flights.has(wanted)) return wanted;
      throw new HearthError(
        'invalid_request',
        'A request with this id is in flight on this connection already.',
      );
    }
    for (;;) {
      lastNumber += 1;
      const id = `r${lastNumber}`;
      if (!flights.has(id)) return id;
    }
  }

  function closeIfAllAbandoned(): void {
    if (flights.size === 0) return;
    for (const flight of flights.values()) if (!flight.abandoned) return;
    close();
  }

  async function* frames(
    request: ClientRequest,
    { signal }: RequestOptions = {},
  ): AsyncGenerator<ResponseFrame, void, void> {
    signal?.throwIfAborted();
    if ('wire_version' in request) {
      throw new HearthError(
        'invalid_request',
        'wire_version: this client reads the frames of version 1 only.',
      );
    }
    const id = takeId(request.id);
    if (state.kind === 'closed') throw causeFor(id, state.cause);
    const bytes = encodeFrameBytes({ ...request, id });
    const flight: Flight = { queue: new BoundedQueue(queueFrames), abandoned: false };
    flights.set(id, flight);

    const abandon = (): void => {
      const isOver = flight.abandoned || flights.get(id) !== flight;
      flight.abandoned = true;
      flight.queue.fail(signal?.reason, { drop: true });
      if (isOver) return;
      closeIfAllAbandoned();
      // Others go on on this connection: the daemon is told of this one's end by name.
      if (state.kind === 'open')
        transport.send(encodeFrameBytes({ type: 'cancel', target: id })).catch(close);
    };
    signal?.addEventListener('abort', abandon, { once: true });
    try {
      transport.send(bytes).catch(close);
      for (;;) {
        const frame = await flight.queue.next();
        yield frame;
        if (isTerminal(frame)) return;
      }
    } finally {
      signal?.removeEventListener('abort', abandon);
      abandon();
    }
  }

  void receive();
  return clientOf(frames, () => close());
}

/** A client that has only its frames and its end: the rest of {@link HearthClient} follows from them. */
export function clientOf(frames: HearthClient['frames'], close: () => void): HearthClient {
  async function* generate(
    request: GenerateRequestInput,
    options?: RequestOptions,
  ): AsyncGenerator<string, DoneFrame, void> {
    for await (const frame of frames(request, options)) {
      if (frame.type === 'token') yield frame.content;
      if (frame.type === 'done') return frame;
      if (frame.type === 'error') throw errorOf(frame);
    }
    throw new ProtocolError('The answer ended without its terminal frame.');
  }

  async function complete(request: GenerateRequestInput, options?: RequestOptions): Promise<DoneFrame> {
    const pieces = generate(request, options);
    for (;;) {
      const piece = await pieces.next();
      if (piece.done === true) return piece.value;
    }
  }

  async function ask(request: ClientRequest, options?: RequestOptions): Promise<AnswerFrame> {
    for await (const frame of frames(request, options)) {
      if (frame.type === 'error') throw errorOf(frame);
      if (isTerminal(frame) && frame.type !== 'done') return frame;
    }
    throw new ProtocolError('The answer is not of the kind that was asked for.');
  }

  return { frames, generate, complete, ask, close };
}

/** The error that an `error` frame tells of. */
export function errorOf(frame: ErrorFrame): HearthError {
  const { code, message, retry_after_ms: retryAfterMs } = frame;
  return new HearthError(code, message, retryAfterMs === undefined ? {} : { retryAfterMs });
}

/** What a request sees when its connection has ended: what the daemon said last, else that it was lost. */
function causeFor(id: string, cause: unknown): Error {
  if (cause instanceof HearthError || cause instanceof ProtocolError) return cause;
  return new ConnectionLostError(id, cause === undefined ? {} : { cause });
}
