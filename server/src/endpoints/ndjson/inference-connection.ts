import { createHash, timingSafeEqual } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import type { Socket } from 'node:net';
import {
  type DecodedLine,
  encodeFrameBytes,
  type GenerateRequest,
  HearthError,
  NdjsonDecoder,
  readAuthKey,
  readRequest,
  type ResponseFrame,
  toErrorFrame,
  toHearthError,
} from '@hearth/protocol';
import { BoundedWriter } from '../../connections/bounded-writer.js';
import { watchPeerGone } from '../../connections/peer-gone.js';
import type { DaemonApi } from '../../daemon-api.js';
import type { RecordActivity } from '../../record-activity.js';
import { Answer } from './answer.js';
import { lingeringClose } from './lingering-close.js';

export interface InferenceConnectionOptions {
  readonly daemon: DaemonApi;
  readonly record: RecordActivity;
  readonly transport: 'unix' | 'pipe' | 'tcp';
  /** Longest that one write may wait for the peer to read, in milliseconds; 0: for ever (row 72). */
  readonly writeTimeoutMs: number;
  /** Whose fair share the requests count against: see {@link Caller.client}. */
  readonly client: string;
  /** The key that the first frame must carry, where one is set (row 40). */
  readonly key: string | undefined;
}

/** A request that has not ended yet. */
interface Flight {
  readonly id: string;
  readonly cancel: AbortController;
  readonly done: Promise<void>;
}

/** Requests that one connection may have in flight. The next is not read before one of them has ended. */
const maxInFlight = 64;

/**
 * Serves one connection of the inference protocol, NDJSON v1 (behaviours.md 1.2), until either side ends it.
 * Resolves when nothing of it is left: no request, no timer, no listener.
 *
 * Many requests may be in flight; ids keep them apart. When the peer goes away, whatever it had asked for is
 * aborted at once, in the queue, in prefill and in decode (rows 66 to 68). When it only half-closes, what it
 * asked for is still answered (row 4).
 */
export async function serveInference(socket: Socket, options: InferenceConnectionOptions): Promise<void> {
  await new InferenceConnection(socket, options).serve();
}

/** What becomes of the connection after a line: read on, end it with what is left to say, or drop it at once. */
type Next = 'read_on' | 'close' | 'drop';

class InferenceConnection {
  readonly #socket: Socket;
  readonly #options: InferenceConnectionOptions;
  readonly #writer: BoundedWriter;
  readonly #gone = new AbortController();
  readonly #inFlight = new Set<Flight>();
  #awaitsKey: boolean;
  #requests = 0;

  constructor(socket: Socket, options: InferenceConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#awaitsKey = options.key !== undefined;
    this.#writer = new BoundedWriter(socket, { writeTimeoutMs: options.writeTimeoutMs });
    // One listener a request in flight, and those are bounded.
    setMaxListeners(0, this.#gone.signal);
    socket.once('close', () => {
      this.#gone.abort();
    });
    // A reset connection is a gone peer: 'close' follows, and says all that there is to say.
    socket.on('error', () => undefined);
  }

  async serve(): Promise<void> {
    const { record, transport } = this.#options;
    const end = await this.#read();
    if (end === 'drop') this.#socket.destroy();
    if (this.#inFlight.size > 0) await this.#whileWatched(Promise.all(this.#pending()));
    await lingeringClose(this.#socket);
    record('debug', 'connections', { msg: 'connection_closed', transport, requests: this.#requests });
  }

  /** Reads until the peer has said all that it will say, or said something after which nothing can be read. */
  async #read(): Promise<Next> {
    const decoder = new NdjsonDecoder();
    try {
      // Not destroyed at the end: a peer that has said all may still be listening.
      for await (const chunk of this.#socket.iterator({ destroyOnReturn: false })) {
        const next = await this.#takeAll(decoder.push(chunk as Buffer));
        if (next !== 'read_on') return next;
      }
      return await this.#takeAll(decoder.end());
    } catch (error) {
      // Reading fails when the peer is gone, and then there is nobody to tell.
      if (this.#socket.destroyed) return 'drop';
      throw error;
    }
  }

  async #takeAll(lines: readonly DecodedLine[]): Promise<Next> {
    for (const line of lines) {
      const next = this.#awaitsKey ? this.#takeKey(line) : await this.#take(line);
      if (next !== 'read_on') return next;
    }
    return 'read_on';
  }

  /** A wrong key, or anything in place of a key, is answered by silence (behaviours.md 1.2). */
  #takeKey(line: DecodedLine): Next {
    const key = readAuthKey(line);
    if (key !== undefined && isSameSecret(key, this.#options.key ?? '')) {
      this.#awaitsKey = false;
      return 'read_on';
    }
    const peer = this.#socket.remoteAddress ?? 'unknown';
    this.#options.record('warn', 'connections', { msg: 'tcp_auth_rejected', peer });
    return 'drop';
  }

  async #take(line: DecodedLine): Promise<Next> {
    // A client that was given a key for a daemon that asks for none is not to be punished for it.
    if (this.#requests === 0 && this.#options.transport === 'tcp' && readAuthKey(line) !== undefined)
      return 'read_on';
    this.#requests += 1;
    const reading = readRequest(line);
    switch (reading.kind) {
      case 'request':
        await this.#start(reading.request);
        return 'read_on';
      case 'cancel':
        await this.#cancel(reading.id, reading.target);
        return 'read_on';
      case 'invalid':
        await this.#refuse(reading.id, reading.error);
        return 'read_on';
      case 'malformed':
        await this.#refuse('', reading.error);
        return 'close';
      case 'too_large':
        this.#options.record('warn', 'connections', {
          msg: 'request_oversized',
          transport: this.#options.transport,
        });
        await this.#refuse('', reading.error);
        return 'close';
    }
  }

  async #refuse(id: string, error: HearthError): Promise<void> {
    this.#options.record('info', 'connections', {
      msg: 'request_rejected',
      req_id: id.slice(0, 128),
      code: error.code,
    });
    await this.#send(toErrorFrame(id, error));
  }

  /** Runs the request beside the others of this connection; waits only where too many are in flight. */
  async #start(request: GenerateRequest): Promise<void> {
    const cancel = new AbortController();
    const flight: Flight = { id: request.id, cancel, done: this.#run(request, cancel.signal) };
    this.#inFlight.add(flight);
    void flight.done.then(() => this.#inFlight.delete(flight));
    if (this.#inFlight.size >= maxInFlight) await this.#whileWatched(Promise.race(this.#pending()));
  }

  /** Ends requests of this connection by their id. Another's are not found, like those that never were. */
  async #cancel(id: string, target: string): Promise<void> {
    const flights = [...this.#inFlight].filter((flight) => flight.id === target);
    for (const { cancel } of flights) cancel.abort();
    await this.#send({ id, type: 'cancelled', target, found: flights.length > 0 });
  }

  #pending(): readonly Promise<void>[] {
    return [...this.#inFlight].map(({ done }) => done);
  }

  /** Waits for work while nothing is read, and so nothing but a look at the socket tells that the peer has gone. */
  async #whileWatched(work: Promise<unknown>): Promise<void> {
    const stopWatching = watchPeerGone(this.#socket, () => {
      this.#socket.destroy();
    });
    await work;
    stopWatching();
  }

  async #run(request: GenerateRequest, cancelled: AbortSignal): Promise<void> {
    const { transport, client } = this.#options;
    const caller = { name: transport === 'tcp' ? 'tcp' : 'socket', client };
    const answer = new Answer(request, (frame) => this.#send(frame));
    const signal = AbortSignal.any([this.#gone.signal, cancelled]);
    try {
      for await (const event of this.#options.daemon.generate(request, caller, signal))
        await answer.tell(event);
    } catch (error) {
      await answer.fail(toHearthError(error));
    } finally {
      answer.end();
    }
  }

  /** Writes at the peer's pace. A peer that is gone, or does not read in time, takes its requests with it. */
  async #send(frame: ResponseFrame): Promise<void> {
    if (this.#gone.signal.aborted) return;
    try {
      await this.#writer.write(encodeFrameBytes(frame));
    } catch (error) {
      // Of all the writes that wait, only the one that ran out of time says so; the others see a closed connection.
      if (error instanceof HearthError && error.code === 'slow_consumer') {
        const { record, transport, writeTimeoutMs } = this.#options;
        record('warn', 'connections', { msg: 'write_timeout', transport, after_ms: writeTimeoutMs });
      }
      this.#gone.abort();
      this.#socket.destroy();
    }
  }
}

/** Compares digests of equal length in constant time, so that the time taken tells nothing of the key. */
function isSameSecret(given: string, right: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(right));
}
