import type { Readable } from 'node:stream';
import { Agent, type Dispatcher } from 'undici';
import { isCancel, UpstreamError, upstreamErrorOf } from './upstream-error.js';

/** How long to wait for another server, at each stage. Milliseconds. */
export interface UpstreamTimeouts {
  /** For a connection. @default 5000 */
  readonly connectMs: number;
  /** From the request to the head of the answer. @default 1 800 000 */
  readonly headersMs: number;
  /** Between two pieces of a body that is being read. @default 300 000 */
  readonly idleMs: number;
}

/** The waits of InfiniLM-SVC's router, and a bound on silence in a stream, which it lacks. */
export const defaultUpstreamTimeouts: UpstreamTimeouts = {
  connectMs: 5000,
  headersMs: 1_800_000,
  idleMs: 300_000,
};

export interface UpstreamRequest {
  readonly method: string;
  /** Scheme, host and port: `http://127.0.0.1:8000`. */
  readonly origin: string;
  /** Path and query, as they stand in the request line. */
  readonly path: string;
  /** Name and value by turns. */
  readonly headers: readonly string[];
  /** Sent as it is. */
  readonly body?: Uint8Array | string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Where they differ from the pool's own. */
  readonly headersMs?: number | undefined;
  readonly idleMs?: number | undefined;
}

/** The head of an answer, and its body as it arrives. */
export interface UpstreamResponse {
  readonly status: number;
  /** Name and value by turns, as they came. */
  readonly headers: readonly string[];
  /** Whoever asked reads it to its end or destroys it: the connection hangs on it. Its errors are the network's. */
  readonly body: Readable;
}

/** Where an answer goes piece by piece. Nothing is called after `end` or `fail`. */
export interface AnswerSink {
  /** Name and value by turns, as they came. */
  head(status: number, headers: readonly string[]): void;
  /** False: no more until what {@link whenReady} was given is called. */
  data(chunk: Buffer): boolean;
  whenReady(resume: () => void): void;
  end(): void;
  fail(error: UpstreamError): void;
}

/**
 * Connections to other HTTP servers, kept and used again. Nothing is followed, retried, decompressed or cached: one
 * request is one attempt, and bytes go through as they are.
 */
export class Upstream {
  readonly #agent: Agent;
  readonly #timeouts: UpstreamTimeouts;

  constructor(timeouts: Partial<UpstreamTimeouts> = {}) {
    this.#timeouts = { ...defaultUpstreamTimeouts, ...timeouts };
    this.#agent = new Agent({
      connect: { timeout: this.#timeouts.connectMs },
      headersTimeout: this.#timeouts.headersMs,
      bodyTimeout: this.#timeouts.idleMs,
      pipelining: 1,
    });
  }

  /** Asks. @throws UpstreamError before the head of an answer; aborting the signal closes the connection. */
  async ask(request: UpstreamRequest): Promise<UpstreamResponse> {
    const { signal, body } = request;
    try {
      const {
        statusCode,
        headers,
        body: answer,
      } = await this.#agent.request({
        method: request.method,
        origin: request.origin,
        path: request.path,
        headers: [...request.headers],
        responseHeaders: 'raw',
        headersTimeout: request.headersMs ?? this.#timeouts.headersMs,
        bodyTimeout: request.idleMs ?? this.#timeouts.idleMs,
        ...(body === undefined ? {} : { body }),
        ...(signal === undefined ? {} : { signal }),
      });
      return { status: statusCode, headers: rawHeaders(headers), body: answer };
    } catch (error) {
      if (isCancel(error, signal)) throw new UpstreamError('cancelled', { cause: error });
      throw upstreamErrorOf(error);
    }
  }

  /**
   * Asks, and hands the answer on piece by piece as it comes, without a stream in between. Ends with exactly one of
   * {@link AnswerSink.end} and {@link AnswerSink.fail}.
   *
   * @returns What cancels it, and closes the connection.
   */
  pass(request: UpstreamRequest, sink: AnswerSink): () => void {
    const { body } = request;
    let controller: Dispatcher.DispatchController | undefined;
    let state: 'running' | 'cancelled' | 'over' = 'running';
    const fail = (error: unknown): void => {
      if (state === 'over') return;
      const failure = state === 'cancelled' ? new UpstreamError('cancelled') : upstreamErrorOf(error);
      state = 'over';
      sink.fail(failure);
    };
    const options = {
      method: request.method as 'GET',
      origin: request.origin,
      path: request.path,
      headers: [...request.headers],
      headersTimeout: request.headersMs ?? this.#timeouts.headersMs,
      bodyTimeout: request.idleMs ?? this.#timeouts.idleMs,
      ...(body === undefined ? {} : { body }),
    };
    this.#agent.dispatch(options, {
      onRequestStart: (started) => {
        controller = started;
        if (state === 'cancelled') started.abort(new UpstreamError('cancelled'));
      },
      onResponseStart: ({ rawHeaders: raw }, status) => {
        // 1xx: the answer is still to come.
        if (status >= 200) sink.head(status, rawHeaders(raw));
      },
      onResponseData: (flow, chunk) => {
        if (sink.data(chunk)) return;
        flow.pause();
        sink.whenReady(() => flow.resume());
      },
      onResponseEnd: () => {
        if (state === 'over') return;
        state = 'over';
        sink.end();
      },
      onResponseError: (_controller, error) => fail(error),
    });
    return () => {
      if (state !== 'running') return;
      state = 'cancelled';
      controller?.abort(new UpstreamError('cancelled'));
    };
  }

  /** Ends every connection, and what runs on them. */
  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

/** Undici gives raw fields as an array although its types say a record. */
function rawHeaders(headers: unknown): readonly string[] {
  if (!Array.isArray(headers)) return [];
  return headers.map((part: unknown) => (Buffer.isBuffer(part) ? part.toString('latin1') : String(part)));
}
