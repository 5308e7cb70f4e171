import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HearthError } from '../src/errors.js';
import type { ResponseFrame } from '../src/frames.js';
import { encodeFrame, encodeFrameBytes, NdjsonDecoder, parseLine } from '../src/ndjson.js';
import type { DecodedLine, ParsedLine } from '../src/ndjson.js';
import { readRequest, toErrorFrame, typedReplyCodes } from '../src/read-request.js';
import { resolveGeneration } from '../src/request.js';
import type { GenerateRequest } from '../src/request.js';
import { bytesOf, chunksOf, compareFrames } from '../src/vectors.js';
import type { Chunking, DaemonVector, ExpectedLine } from '../src/vectors.js';
import { loadVectors, runDaemonVector } from './conformance.js';

const vectors = await loadVectors();

const cases = <Vector extends { readonly name: string; readonly chunks: readonly Chunking[] }>(
  list: readonly Vector[],
): readonly (readonly [string, Chunking, Vector])[] =>
  list.flatMap((vector) => vector.chunks.map((chunking) => [vector.name, chunking, vector] as const));

/** What a vector says of a line. Huge values are not compared: the vector then gives none. */
function seen(line: ParsedLine, expected: ExpectedLine | undefined): ExpectedLine {
  if (line.kind !== 'value') return { kind: line.kind };
  const compares = expected?.kind === 'value' && expected.value !== undefined;
  return compares ? { kind: 'value', value: { ...line.value } } : { kind: 'value' };
}

describe('row 174: the codec passes every vector', () => {
  test.each(cases(vectors.decode))('decode: %s (chunks: %j)', (_name, chunking, vector) => {
    const decoder = new NdjsonDecoder();
    const lines: DecodedLine[] = [];
    for (const chunk of chunksOf(bytesOf(vector.input), chunking)) lines.push(...decoder.push(chunk));
    lines.push(...decoder.end());
    expect(lines.map((line, index) => seen(parseLine(line), vector.expect[index]))).toEqual(vector.expect);
  });

  test.each(vectors.encode.map((vector) => [vector.name, vector] as const))('encode: %s', (_name, vector) => {
    expect(encodeFrameBytes(vector.value)).toEqual(bytesOf(vector.expect));
  });
});

/**
 * Vectors that a daemon without an engine can answer, all but those of typed replies, calls, pictures, vectors, scores,
 * tokens and rendered prompts. A whole daemon passes those too (`test/acceptance/client-library.test.ts`).
 */
const withoutEngine = vectors.daemon.vectors.filter(({ name, rows, expect: frames }) => {
  if (/picture|dry run|tokenize|arguments of a call/u.test(name)) return false;
  return rows.every((row) => row < 27) || frames.every(({ frame }) => frame.type === 'error');
});

test('most vectors can be answered without an engine', () => {
  expect(withoutEngine.length).toBeGreaterThan(80);
});

/** A daemon reduced to its protocol: it answers as the mock engine of the vectors does. */
interface Session {
  /** Frames for these lines, and whether the connection ends after them. */
  answer(lines: readonly DecodedLine[]): {
    readonly frames: readonly ResponseFrame[];
    readonly closes: boolean;
  };
}

const unsupported = new HearthError('unsupported_parameter', 'This session only generates.');

const session: Session = {
  answer(lines) {
    const frames: ResponseFrame[] = [];
    for (const line of lines) {
      const reading = readRequest(line);
      if (reading.kind === 'request') frames.push(...generation(reading.request));
      else if (reading.kind === 'cancel') frames.push({ ...reading, type: 'cancelled', found: false });
      else if (reading.kind === 'typed') frames.push(toErrorFrame(reading.id, unsupported));
      // No vector speaks of channels.
      else if (reading.kind !== 'channel')
        frames.push(toErrorFrame('id' in reading ? reading.id : '', reading.error, typedReplyCodes));
      if (['malformed', 'too_large', 'wrong_version'].includes(reading.kind)) return { frames, closes: true };
    }
    return { frames, closes: false };
  },
};

function generation(request: GenerateRequest): readonly ResponseFrame[] {
  const { id } = request;
  const { maxTokens } = resolveGeneration(request).sampling;
  const tokens = vectors.daemon.mock.tokens.slice(0, maxTokens);
  const usage = { prompt_tokens: 0, completion_tokens: tokens.length };
  const stopReason = tokens.length < vectors.daemon.mock.tokens.length ? 'length' : 'end';
  const content = tokens.join('');
  const pieces = request.stream === false ? [] : tokens;
  return [
    ...pieces.map((text) => ({ id, type: 'token', content: text }) as const),
    { id, type: 'done', content, usage, stop_reason: stopReason, backend: vectors.daemon.mock.name },
  ];
}

describe('row 174: reading requests passes every vector', () => {
  test.each(cases(withoutEngine))('%s (chunks: %j)', (_name, chunking, vector) => {
    const decoder = new NdjsonDecoder();
    const frames: ResponseFrame[] = [];
    let closes = false;
    for (const chunk of chunksOf(bytesOf(vector.input), chunking)) {
      if (closes) break;
      const answer = session.answer(decoder.push(chunk));
      frames.push(...answer.frames);
      closes = answer.closes;
    }
    if (!closes) frames.push(...session.answer(decoder.end()).frames);
    expect(compareFrames(vector.expect, frames)).toEqual([]);
    expect(closes).toBe(vector.then === 'closes');
  });
});

describe('the runner for live daemons', () => {
  let directory: string;
  let server: net.Server;
  let path: string;
  let flaw: 'none' | 'stays_open' | 'closes_early' | 'extra_frame' | 'silent' = 'none';

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'hearth-'));
    path = join(directory, 's');
    server = net.createServer({ allowHalfOpen: true }, serve);
    await new Promise<void>((resolve) => server.listen(path, resolve));
  });

  afterAll(async () => {
    await new Promise((resolve) => server.close(resolve));
    await rm(directory, { recursive: true });
  });

  function serve(socket: net.Socket): void {
    const decoder = new NdjsonDecoder();
    let over = false;
    const respond = (lines: readonly DecodedLine[]): void => {
      if (over || flaw === 'silent') return;
      const { frames, closes } = session.answer(lines);
      for (const frame of frames) socket.write(encodeFrame(frame));
      if (flaw === 'extra_frame') for (const frame of frames.slice(-1)) socket.write(encodeFrame(frame));
      over = closes || (flaw === 'closes_early' && frames.length > 0);
      if (over && flaw !== 'stays_open') socket.end();
    };
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Uint8Array) => {
      respond(decoder.push(chunk));
    });
    socket.on('end', () => {
      respond(decoder.end());
      socket.end();
    });
  }

  test.each(cases(withoutEngine))('row 174: %s (chunks: %j)', async (_name, chunking, vector) => {
    flaw = 'none';
    expect(await runDaemonVector({ path }, vector, chunking)).toEqual([]);
  });

  const named = (name: string): DaemonVector => {
    const vector = vectors.daemon.vectors.find((candidate) => candidate.name === name);
    if (vector === undefined) throw new Error(`there is no vector ${name}`);
    return vector;
  };

  test.each([
    ['closes_early', 'empty messages'],
    ['extra_frame', 'tokens and then done'],
    ['extra_frame', 'garbage is malformed'],
  ] as const)('finds a daemon with the flaw %s', async (wrong, name) => {
    flaw = wrong;
    expect(await runDaemonVector({ path }, named(name), 'whole')).not.toEqual([]);
  });

  test.each([
    ['stays_open', 'garbage is malformed'],
    ['silent', 'tokens and then done'],
  ] as const)('gives up on a daemon with the flaw %s', async (wrong, name) => {
    flaw = wrong;
    await expect(runDaemonVector({ path }, named(name), 'whole', { timeoutMs: 50 })).rejects.toThrow(
      'too long',
    );
  });
});

test('the names of vectors are unique', () => {
  for (const list of [vectors.decode, vectors.encode, vectors.daemon.vectors]) {
    expect(new Set(list.map((vector) => vector.name)).size).toBe(list.length);
  }
});
