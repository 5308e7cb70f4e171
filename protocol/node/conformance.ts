import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type net from 'node:net';
import { limits } from '../src/limits.js';
import { encodeFrameBytes, NdjsonDecoder } from '../src/ndjson.js';
import type { DecodedLine } from '../src/ndjson.js';
import { parseLine } from '../src/ndjson.js';
import { readResponse } from '../src/read-frames.js';
import type { FrameReading } from '../src/read-frames.js';
import { typedReplyFrameSchema } from '../src/typed-replies.js';
import {
  bytesOf,
  chunksOf,
  compareFrames,
  daemonVectorsSchema,
  decodeVectorsSchema,
  encodeVectorsSchema,
} from '../src/vectors.js';
import type {
  VectorFrame,
  Chunking,
  DaemonVector,
  DaemonVectors,
  DecodeVector,
  EncodeVector,
} from '../src/vectors.js';
import { dial } from './dial.js';
import type { Address } from './dial.js';
import { socketTransport } from './socket-transport.js';

/** Every conformance vector of this package. */
export interface Vectors {
  readonly decode: readonly DecodeVector[];
  readonly encode: readonly EncodeVector[];
  readonly daemon: DaemonVectors;
}

/** Reads the files in `protocol/vectors/` and checks their form. */
export async function loadVectors(): Promise<Vectors> {
  const [decode, encode, daemon] = await Promise.all(['decode', 'encode', 'daemon'].map(readVectorFile));
  return {
    decode: decodeVectorsSchema.parse(decode).vectors,
    encode: encodeVectorsSchema.parse(encode).vectors,
    daemon: daemonVectorsSchema.parse(daemon),
  };
}

async function readVectorFile(name: string): Promise<unknown> {
  // By package name: the files lie in the same place for the sources and for what is built from them.
  const path = createRequire(import.meta.url).resolve(`@hearth/protocol/vectors/${name}.json`);
  return JSON.parse(await readFile(path, 'utf8')) as unknown;
}

/**
 * Runs one vector against a live daemon whose engine is the mock that the vector file names, on a connection of
 * its own.
 *
 * @returns what differs from the expectation, one line each; empty where the daemon conforms.
 * @throws Error when the daemon does nothing for `timeoutMs` (default 30 s).
 */
export async function runDaemonVector(
  address: Address,
  vector: DaemonVector,
  chunking: Chunking,
  options: { readonly timeoutMs?: number } = {},
): Promise<readonly string[]> {
  const socket = await dial(address, { timeoutMs: 0 });
  socket.setTimeout(options.timeoutMs ?? 30_000, () => {
    socket.destroy(new Error(`${vector.name}: the daemon did nothing for too long`));
  });
  try {
    // Reading goes on while sending: a daemon may answer, and close, before it has everything.
    const reading = readAll(socket, vector);
    const sending = sendInput(socket, vector, chunking);
    const [outcome] = await Promise.all([reading, sending]);
    return outcome;
  } finally {
    socket.destroy();
  }
}

async function sendInput(socket: net.Socket, vector: DaemonVector, chunking: Chunking): Promise<void> {
  const transport = socketTransport(socket);
  try {
    for (const chunk of chunksOf(bytesOf(vector.input), chunking)) await transport.send(chunk);
    if (vector.then === 'half_close') socket.end();
  } catch (error) {
    // A daemon that closes on what it has read already is no failure of the sender.
    if (vector.then !== 'closes') throw error;
  }
}

function isReset(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
}

const probeId = 'conformance-probe';

function sendProbe(socket: net.Socket): void {
  socket.end(encodeFrameBytes({ id: probeId, messages: [{ role: 'user', content: 'still there?' }] }));
}

/** A frame of a reply, which is typed where the request said so. */
function readAnswer(line: DecodedLine): FrameReading<VectorFrame> {
  const reading = readResponse(line);
  if (reading.kind === 'frame') return reading;
  const parsed = parseLine(line, limits.answerValues);
  const typed = parsed.kind === 'value' ? typedReplyFrameSchema.safeParse(parsed.value) : undefined;
  return typed?.success === true ? { kind: 'frame', frame: typed.data } : reading;
}

async function readAll(socket: net.Socket, vector: DaemonVector): Promise<readonly string[]> {
  const decoder = new NdjsonDecoder();
  const frames: VectorFrame[] = [];
  try {
    for await (const chunk of socketTransport(socket).chunks) {
      for (const line of decoder.push(chunk)) {
        const reading = readAnswer(line);
        if (reading.kind === 'malformed') return ['the daemon sent something that is no frame'];
        if (reading.kind === 'ignored') continue;
        frames.push(reading.frame);
        // Now that the answers are there: does the connection still serve?
        if (vector.then === 'usable' && frames.length === vector.expect.length) sendProbe(socket);
      }
    }
  } catch (error) {
    // A close with input unread reaches us as a reset, after the answers.
    if (vector.then !== 'closes' || !isReset(error)) throw error;
  }
  if (decoder.end().length > 0) return ['the last frame has no line feed'];
  const differences = compareFrames(
    vector.expect,
    frames.filter((frame) => frame.id !== probeId),
  );
  if (vector.then !== 'usable') return differences;
  const last = frames.findLast((frame) => frame.id === probeId);
  return last?.type === 'done'
    ? differences
    : [...differences, 'the connection did not serve another request'];
}
