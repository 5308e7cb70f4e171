import type { Socket } from 'node:net';
import {
  type AnswerFrame,
  type DecodedLine,
  encodeFrameBytes,
  type ErrorCode,
  type GenerateRequest,
  HearthError,
  NdjsonDecoder,
  readAuthKey,
  readRequest,
  type ResponseFrame,
  toErrorFrame,
  toHearthError,
  type TypedReplyFrame,
  type TypedRequest,
} from '@hearth/protocol';
import { BoundedWriter } from '../../connections/bounded-writer.js';
import { watchPeerGone } from '../../connections/peer-gone.js';
import type { FarewellReason, Service } from '../../connections/supervisor.js';
import type { Caller, DaemonApi } from '../../daemon-api.js';
import type { RecordActivity } from '../../record-activity.js';
import { Answer } from './answer.js';
import { ChannelRequests } from './channel-requests.js';
import { KeyGate } from './key-gate.js';
import { lingeringClose } from './lingering-close.js';
import type { Reply } from './reply.js';
import { TypedAnswer } from './typed-answer.js';
import { toAnswerFrame, toRenderedFrame, toTypedError } from './typed-result.js';

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

/** Requests that one connection may have in flight. */
const maxInFlight = 64;

/**
 * Serves one connection of the inference protocol, NDJSON v1 (behaviours.md 1.2), until either side ends it.
 * Resolves when nothing of it is left: no request, no timer, no listener.
 *
 * Many requests may be in flight; ids keep them apart. When the peer goes away, whatever it had asked for is
 * aborted at once, in the queue, in prefill and in decode (rows 66 to 68). When it only half-closes, what it
 * asked for is still answered (row 4).
 */
export function serveInference(socket: Socket, options: InferenceConnectionOptions): Service {
  const connection = new InferenceConnection(socket, options);
  return { done: connection.serve(), farewell: (reason) => connection.farewell(reason) };
}

/** What becomes of the connection after a line: read on, end it with what is left to say, or drop it at once. */
type Next = 'read_on' | 'close' | 'drop';

class InferenceConnection {
  readonly #socket: Socket;
  readonly #options: InferenceConnectionOptions;
  readonly #writer: BoundedWriter;
  readonly #channels: ChannelRequests;
  /** True once there is nobody to write to. */
  #gone = false;
  readonly #inFlight = new Set<Flight>();
  #requests = 0;

  constructor(socket: Socket, options: InferenceConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#writer = new BoundedWriter(socket, { writeTimeoutMs: options.writeTimeoutMs });
    this.#channels = new ChannelRequests({
      channels: options.daemon.channels,
      socket,
      writer: this.#writer,
      onWriteFailed: (error) => {
        this.#lost(error);
      },
    });
    socket.once('close', () => {
      this.#abandon();
    });
    // A reset connection is a gone peer: 'close' follows, and says all that there is to say.
    socket.on('error', () => undefined);
  }

  async serve(): Promise<void> {
    const { record, transport } = this.#options;
    const end = await this.#read();
    if (end === 'drop') this.#socket.destroy();
    if (this.#inFlight.size > 0 || this.#channels.isWaiting)
      await this.#whileWatched(Promise.all([...this.#pending(), this.#channels.settled()]));
    this.#channels.close();
    await lingeringClose(this.#socket, this.#options.writeTimeoutMs);
    record('debug', 'connections', { msg: 'connection_closed', transport, requests: this.#requests });
  }

  /** Tells the peer that the daemon goes away, where it knows the words. */
  async farewell(reason: FarewellReason): Promise<void> {
    await this.#channels.farewell(reason);
  }

  /** Reads until the peer has said all that it will say, or said something after which nothing can be read. */
  async #read(): Promise<Next> {
    const decoder = new NdjsonDecoder();
    const { key } = this.#options;
    const gate = key === undefined ? undefined : new KeyGate(this.#socket, key);
    try {
      // Not destroyed at the end: a peer that has said all may still be listening.
      for await (const chunk of this.#socket.iterator({ destroyOnReturn: false })) {
        const bytes = gate === undefined ? (chunk as Buffer) : gate.pass(chunk as Buffer);
        if (bytes === undefined) return this.#rejectKey();
        const next = await this.#takeAll(decoder.push(bytes));
        if (next !== 'read_on') return next;
      }
      if (gate?.isOpen === false) return this.#rejectKey();
      return await this.#takeAll(decoder.end());
    } catch (error) {
      // Reading fails when the peer is gone, and then there is nobody to tell.
      if (this.#socket.destroyed) return 'drop';
      throw error;
    }
  }

  async #takeAll(lines: readonly DecodedLine[]): Promise<Next> {
    for (const line of lines) {
      const next = await this.#take(line);
      if (next !== 'read_on') return next;
    }
    return 'read_on';
  }

  /** A wrong key, or anything in place of a key, is answered by silence (behaviours.md 1.2). */
  #rejectKey(): Next {
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
        await this.#start(reading.request, reading.request.dry_run === true ? this.#render : this.#run);
        return 'read_on';
      case 'cancel':
        await this.#cancel(reading.id, reading.target);
        return 'read_on';
      case 'typed':
        await this.#start(reading.request, this.#answerTyped);
        return 'read_on';
      case 'channel':
        await this.#channels.take(reading.request);
        return 'read_on';
      case 'invalid':
        await this.#refuse(reading.id, reading.error);
        return 'read_on';
      case 'wrong_version':
        await this.#refuse(reading.id, reading.error);
        return 'close';
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
    await this.#send(toErrorFrame(id, error, codesOfAdditions));
  }

  /** Runs the request beside the others of this connection. One too many is refused, so that a cancel is read. */
  async #start<Request extends { readonly id: string }>(
    request: Request,
    run: (request: Request, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    if (this.#inFlight.size >= maxInFlight) {
      await this.#refuse(request.id, tooManyInFlight());
      return;
    }
    const cancel = new AbortController();
    const flight: Flight = { id: request.id, cancel, done: run(request, cancel.signal) };
    this.#inFlight.add(flight);
    void flight.done.then(() => this.#inFlight.delete(flight));
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

  /** Nobody is there any more: whatever he had asked for ends, in whatever stage it is. */
  #abandon(): void {
    this.#gone = true;
    this.#channels.close();
    for (const { cancel } of this.#inFlight) cancel.abort();
  }

  /** Waits for work while nothing is read, and so nothing but a look at the socket tells that the peer has gone. */
  async #whileWatched(work: Promise<unknown>): Promise<void> {
    const stopWatching = watchPeerGone(this.#socket, () => {
      this.#socket.destroy();
    });
    await work;
    stopWatching();
  }

  get #caller(): Caller {
    const { transport, client } = this.#options;
    return { name: transport === 'tcp' ? 'tcp' : 'socket', client, route: 'ndjson' };
  }

  readonly #run = async (request: GenerateRequest, signal: AbortSignal): Promise<void> => {
    const reply = replyTo(request, (frame) => this.#send(frame));
    try {
      for await (const event of this.#options.daemon.generate(request, this.#caller, signal))
        await reply.tell(event);
    } catch (error) {
      await reply.fail(toHearthError(error));
    } finally {
      reply.end();
    }
  };

  readonly #answerTyped = async (request: TypedRequest, signal: AbortSignal): Promise<void> => {
    const { daemon } = this.#options;
    await this.#answerOnce(request, async () =>
      toAnswerFrame(request.id, await daemon.answerTyped(request, this.#caller, signal)),
    );
  };

  readonly #render = async (request: GenerateRequest, signal: AbortSignal): Promise<void> => {
    const { daemon } = this.#options;
    await this.#answerOnce(request, async () =>
      toRenderedFrame(request.id, await daemon.render(request, this.#caller, signal)),
    );
  };

  async #answerOnce(
    { id, events }: { readonly id: string; readonly events?: boolean | undefined },
    ask: () => Promise<AnswerFrame>,
  ): Promise<void> {
    try {
      await this.#send(await ask());
    } catch (error) {
      await this.#send(toTypedError(id, toHearthError(error), events));
    }
  }

  /** Writes at the peer's pace. A peer that is gone, or does not read in time, takes its requests with it. */
  async #send(frame: ResponseFrame | TypedReplyFrame): Promise<void> {
    if (this.#gone) return;
    const bytes = encodeOrRefuse(frame);
    try {
      await this.#writer.write(bytes);
    } catch (error) {
      this.#lost(error);
    }
  }

  #lost(error: unknown): void {
    // Of all the writes that wait, only the one that ran out of time says so; the others see a closed connection.
    if (error instanceof HearthError && error.code === 'slow_consumer') {
      const { record, transport, writeTimeoutMs } = this.#options;
      record('warn', 'connections', { msg: 'write_timeout', transport, after_ms: writeTimeoutMs });
    }
    this.#abandon();
    this.#socket.destroy();
  }
}

/** A refusal by one of these goes to a client that has asked for what version 1 does not know. */
const codesOfAdditions: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['wire_version_unsupported']);

/** An answer that is too large for a frame is an error to its request, and harms nobody else. */
function encodeOrRefuse(frame: ResponseFrame | TypedReplyFrame): Uint8Array {
  try {
    return encodeFrameBytes(frame);
  } catch (error) {
    return encodeFrameBytes(toErrorFrame(frame.id, toHearthError(error)));
  }
}

function replyTo(
  request: GenerateRequest,
  send: (frame: ResponseFrame | TypedReplyFrame) => Promise<void>,
): Reply {
  return request.wire_version === undefined ? new Answer(request, send) : new TypedAnswer(request, send);
}

function tooManyInFlight(): HearthError {
  const text = `queue full: ${String(maxInFlight)} requests are in flight on this connection; wait for one of them`;
  return new HearthError('queue_full', text);
}
