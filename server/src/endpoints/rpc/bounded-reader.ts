import { Buffer } from 'node:buffer';
import type { Readable } from 'node:stream';
import { HearthError, parseJsonObject, type JsonObject } from '@hearth/protocol';
import type { DataCallback, Disposable, Message } from 'vscode-jsonrpc';
import { AbstractMessageReader } from 'vscode-jsonrpc/node';
import type { Intake } from './intake.js';
import { mostPassedOver, passOver, type PassedOver } from './passed-over.js';

/**
 * Most bytes of a message: 16 MiB, a quarter of what an NDJSON line may have. Editors send documents whole only once
 * and then change by change, and a document of 16 MiB is beyond ghost text.
 */
export const messageBytes = 16_777_216;
/** Most bytes of a header block. LSP's real ones are about thirty. */
const headerBytes = 4096;
const headerEnd = Buffer.from('\r\n\r\n');

const smallestBuffer = 4096;

/** Why a body did not become a message: no JSON, or too much of it; or no message that could be served. */
export type BadBody = 'not_json' | 'not_served';

/**
 * Reads `Content-Length` framed JSON-RPC, as vscode-jsonrpc's own reader does, with the bounds that one lacks: a
 * header block of at most 4 KiB, a body of at most {@link messageBytes}, its JSON of the depth and the number of
 * values that an NDJSON line may have, and no more messages at once than its {@link Intake} takes: while that is
 * full, the input is paused.
 *
 * A frame that breaks a bound of length is refused before its body is held, and ends the connection, since nothing
 * after it can be trusted; but what an editor tells of a document is read past, and the document is known as too long.
 * Any other body that cannot be used is reported to `onBadBody` and skipped: its length was
 * right, so the next frame can still be read.
 */
export class BoundedMessageReader extends AbstractMessageReader {
  readonly #input: Readable;
  readonly #intake: Intake;
  readonly #onBadBody: (why: BadBody) => void;
  readonly #onPassedOver: (uri: string) => void;
  #deliver: DataCallback | undefined;
  #stopListening: (() => void) | undefined;
  #closed = false;
  #header: Buffer = Buffer.alloc(0);
  #body: Body | undefined;
  #passing: PassedOver | undefined;

  /** @param onPassedOver hears of a document whose notice was too long to be held */
  constructor(
    input: Readable,
    intake: Intake,
    onBadBody: (why: BadBody) => void,
    onPassedOver: (uri: string) => void,
  ) {
    super();
    this.#onPassedOver = onPassedOver;
    this.#input = input;
    this.#intake = intake;
    this.#onBadBody = onBadBody;
  }

  listen(callback: DataCallback): Disposable {
    this.#deliver = callback;
    const onData = (chunk: Buffer): void => this.#take(chunk);
    const onError = (error: Error): void => this.fireError(error);
    const onEnd = (): void => this.#close();
    this.#input.on('data', onData).on('error', onError).on('end', onEnd).on('close', onEnd);
    this.#stopListening = () => {
      this.#input.off('data', onData).off('error', onError).off('end', onEnd).off('close', onEnd);
    };
    return { dispose: this.#stopListening };
  }

  /** Reads no more. The connection calls this, and not what {@link listen} gives. */
  override dispose(): void {
    this.#closed = true;
    this.#stopListening?.();
    this.#forget();
    super.dispose();
  }

  #take(chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0 && !this.#closed) {
      if (this.#intake.full) {
        // Paused first: what is put back would be emitted again at once.
        this.#input.pause();
        this.#input.unshift(rest);
        this.#intake.onceRoom(() => this.#input.resume());
        return;
      }
      if (this.#passing !== undefined) rest = this.#passOver(this.#passing, rest);
      else rest = this.#body === undefined ? this.#takeHeader(rest) : this.#takeBody(this.#body, rest);
    }
  }

  /** Reads up to the end of a header block and returns what is left of `chunk`. */
  #takeHeader(chunk: Buffer): Buffer {
    const known = this.#header.length;
    const block = Buffer.concat([this.#header, chunk.subarray(0, headerBytes)]);
    const end = block.indexOf(headerEnd);
    if (end === -1) {
      if (block.length > headerBytes)
        return this.#refuse('invalid_request', 'A message header was too long.');
      this.#header = block;
      return chunk.subarray(headerBytes);
    }
    this.#header = Buffer.alloc(0);
    const length = contentLength(block.toString('latin1', 0, end));
    if (length === undefined) {
      return this.#refuse('invalid_request', 'A message header had no usable Content-Length.');
    }
    if (length > messageBytes && length <= mostPassedOver) {
      this.#passing = passOver(length);
      return chunk.subarray(end + headerEnd.length - known);
    }
    if (length > messageBytes) {
      return this.#refuseLong();
    }
    this.#body = new Body(length);
    if (length === 0) this.#finish(this.#body);
    return chunk.subarray(end + headerEnd.length - known);
  }

  #passOver(passing: PassedOver, chunk: Buffer): Buffer {
    const rest = passing.take(chunk);
    const uri = passing.missing() === 0 ? passing.uri() : undefined;
    if (passing.kind() === 'other' || (passing.missing() === 0 && uri === undefined))
      return this.#refuseLong();
    if (uri === undefined) return rest;
    this.#passing = undefined;
    this.#onPassedOver(uri);
    return rest;
  }

  #refuseLong(): Buffer {
    return this.#refuse('frame_too_large', `A message may have at most ${String(messageBytes)} bytes.`);
  }

  #takeBody(body: Body, chunk: Buffer): Buffer {
    const rest = body.take(chunk);
    if (body.missing === 0) this.#finish(body);
    return rest;
  }

  #finish(body: Body): void {
    this.#body = undefined;
    const message = parseMessage(body.bytes());
    if (message === undefined) {
      this.#onBadBody('not_json');
      return;
    }
    const verdict = this.#intake.admit(message, body.length);
    if (verdict === 'deliver') this.#deliver?.(message);
    if (verdict === 'refuse') this.#onBadBody('not_served');
  }

  #refuse(code: 'invalid_request' | 'frame_too_large', message: string): Buffer {
    this.fireError(new HearthError(code, message));
    this.#close();
    return Buffer.alloc(0);
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#forget();
    this.fireClose();
  }

  #forget(): void {
    this.#header = Buffer.alloc(0);
    this.#body = undefined;
    this.#passing = undefined;
  }
}

/**
 * A body that is being read. Chunks are copied, never kept: a small one may hang on a large buffer. Memory grows with
 * what has come, not with what was announced.
 */
class Body {
  readonly length: number;
  #buffer: Buffer;
  #used = 0;

  constructor(length: number) {
    this.length = length;
    this.#buffer = Buffer.allocUnsafeSlow(Math.min(length, smallestBuffer));
  }

  get missing(): number {
    return this.length - this.#used;
  }

  /** Takes what belongs to the body and returns what is left of `chunk`. */
  take(chunk: Buffer): Buffer {
    const part = chunk.subarray(0, this.missing);
    const needed = this.#used + part.length;
    if (needed > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.min(this.length, Math.max(needed, this.#buffer.length * 2)));
      this.#buffer.copy(larger, 0, 0, this.#used);
      this.#buffer = larger;
    }
    part.copy(this.#buffer, this.#used);
    this.#used = needed;
    return chunk.subarray(part.length);
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#used);
  }
}

function contentLength(header: string): number | undefined {
  const match = /(?:^|\r\n)content-length:[ \t]*(\d{1,10})[ \t]*(?:\r\n|$)/i.exec(header);
  return match?.[1] === undefined ? undefined : Number(match[1]);
}

/** The message, or undefined where the body is not a JSON-RPC 2.0 object in UTF-8, within the bounds of JSON. */
function parseMessage(body: Buffer): (JsonObject & Message) | undefined {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    return undefined;
  }
  const parsed = parseJsonObject(text);
  return parsed.kind === 'value' && isMessage(parsed.value) ? parsed.value : undefined;
}

function isMessage(value: JsonObject): value is JsonObject & Message {
  return value['jsonrpc'] === '2.0';
}
