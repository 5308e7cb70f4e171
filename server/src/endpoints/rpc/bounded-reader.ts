import type { Readable } from 'node:stream';
import { HearthError, limits } from '@hearth/protocol';
import type { DataCallback, Disposable, Message } from 'vscode-jsonrpc';
import { AbstractMessageReader } from 'vscode-jsonrpc/node';

/** Most bytes of a header block. LSP's real ones are about thirty. */
const headerBytes = 4096;
const headerEnd = Buffer.from('\r\n\r\n');

/**
 * Reads `Content-Length` framed JSON-RPC, as vscode-jsonrpc's own reader does, with the bounds that one lacks: a
 * header block of at most 4 KiB and a body of at most 64 MiB. A frame that breaks a bound is refused before its
 * body is held, and ends the connection, since nothing after it can be trusted. A body that is not JSON is
 * reported to `onMalformed` and skipped: its length was right, so the next frame can still be read.
 */
export class BoundedMessageReader extends AbstractMessageReader {
  readonly #input: Readable;
  readonly #onMalformed: () => void;
  #deliver: DataCallback | undefined;
  #closed = false;
  #header: Buffer = Buffer.alloc(0);
  #body: Body | undefined;

  constructor(input: Readable, onMalformed: () => void) {
    super();
    this.#input = input;
    this.#onMalformed = onMalformed;
  }

  listen(callback: DataCallback): Disposable {
    this.#deliver = callback;
    const onData = (chunk: Buffer): void => this.#take(chunk);
    const onError = (error: Error): void => this.fireError(error);
    const onEnd = (): void => this.#close();
    this.#input.on('data', onData).on('error', onError).on('end', onEnd).on('close', onEnd);
    return {
      dispose: () => {
        this.#input.off('data', onData).off('error', onError).off('end', onEnd).off('close', onEnd);
      },
    };
  }

  #take(chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0 && !this.#closed) {
      rest = this.#body === undefined ? this.#takeHeader(rest) : this.#takeBody(this.#body, rest);
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
    if (length > limits.frameBytes) {
      return this.#refuse('frame_too_large', `A message may have at most ${limits.frameBytes} bytes.`);
    }
    this.#body = { missing: length, parts: [] };
    if (length === 0) this.#finish(this.#body);
    return chunk.subarray(end + headerEnd.length - known);
  }

  #takeBody(body: Body, chunk: Buffer): Buffer {
    const part = chunk.subarray(0, body.missing);
    body.parts.push(part);
    body.missing -= part.length;
    if (body.missing === 0) this.#finish(body);
    return chunk.subarray(part.length);
  }

  #finish(body: Body): void {
    this.#body = undefined;
    const message = parseMessage(Buffer.concat(body.parts));
    if (message === undefined) {
      this.#onMalformed();
      return;
    }
    try {
      this.#deliver?.(message);
    } catch {
      // The connection throws on a message of the wrong shape, such as a cancel without an id.
      this.#onMalformed();
    }
  }

  #refuse(code: 'invalid_request' | 'frame_too_large', message: string): Buffer {
    this.fireError(new HearthError(code, message));
    this.#close();
    return Buffer.alloc(0);
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#header = Buffer.alloc(0);
    this.#body = undefined;
    this.fireClose();
  }
}

/** A body that is being read. */
interface Body {
  missing: number;
  readonly parts: Buffer[];
}

function contentLength(header: string): number | undefined {
  const match = /(?:^|\r\n)content-length:[ \t]*(\d{1,10})[ \t]*(?:\r\n|$)/i.exec(header);
  return match?.[1] === undefined ? undefined : Number(match[1]);
}

/** The message, or undefined where the body is not a JSON object. */
function parseMessage(body: Buffer): Message | undefined {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return isMessage(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isMessage(value: unknown): value is Message {
  return typeof value === 'object' && value !== null && 'jsonrpc' in value && value.jsonrpc === '2.0';
}
