import type { IncomingMessage, ServerResponse } from 'node:http';
import { type JsonObject, parseJsonObject } from '@hearth/protocol';
import type { Caller, DaemonApi } from '../../daemon-api.js';
import { requireJson } from '../../http/guard.js';
import { HttpError } from '../../http/http-error.js';
import { readBody } from '../../http/read-body.js';
import { sendJson } from '../../http/serve-http.js';
import { invalidRequest } from './api-error.js';
import type { BodyBudget } from './body-budget.js';

/** One request of a client and the way to its answer. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** What stood in place of `:name` in the route's path. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly daemon: DaemonApi;
  readonly caller: Caller;
  /** Aborts when the client has gone before its answer was complete. */
  readonly signal: AbortSignal;
  readonly settings: ExchangeSettings;
}

/** What holds for every exchange of a gateway. */
export interface ExchangeSettings {
  /** Largest body in bytes; over it is 413. */
  readonly bodyLimit: number;
  /** Bytes of all bodies that are held at once. */
  readonly bodies: BodyBudget;
  /** A client that takes nothing for so many milliseconds is cut off; 0: never. */
  readonly writeTimeoutMs: number;
  /** The daemon's metrics as text, and what kind of text; undefined: none are kept. */
  readonly metrics: MetricsText | undefined;
}

/** Metrics as they are now. */
export type MetricsText = () => Promise<{ readonly text: string; readonly contentType: string }>;

/** A route of one of the APIs. */
export interface ApiRoute {
  readonly method: 'GET' | 'POST';
  /** Such as `/v1/models/:model`. */
  readonly path: string;
  /** Answered without a token: it says nothing private. @default false */
  readonly open?: boolean;
  readonly handle: (exchange: Exchange) => Promise<void> | void;
}

/** Largest body whose length is not declared, in bytes: it is reserved whole before the first byte has come. */
const undeclaredLimit = 8_388_608;

/**
 * The body of a request: one JSON object.
 *
 * @throws HttpError 400, 413, 415, or 503 where too many bodies are held already.
 */
export async function readJson({ request, response, settings }: Exchange): Promise<JsonObject> {
  requireJson(request);
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') throw new HttpError(415, 'Send the body without Content-Encoding.');
  const { bodies, bodyLimit } = settings;
  const declared = request.headers['content-length'];
  const limit = declared === undefined ? Math.min(bodyLimit, undeclaredLimit) : bodyLimit;
  const release = bodies.take(declared === undefined ? limit : Math.min(Number(declared), limit));
  try {
    const body = await readBody(request, response, limit);
    const parsed = parseJsonObject(decode(body));
    if (parsed.kind === 'value') return parsed.value;
    throw invalidRequest(malformedTexts[parsed.reason]);
  } finally {
    release();
  }
}

/** Answers with JSON, unless the client has gone. */
export function answerJson({ response, signal }: Exchange, value: unknown): void {
  if (!signal.aborted) sendJson(response, 200, value);
}

const malformedTexts = {
  not_json: 'The body is not valid JSON.',
  not_object: 'The body is JSON but not an object.',
  too_complex: 'The body nests too deep or holds too many values.',
} as const;

const utf8 = new TextDecoder('utf-8', { fatal: true });

function decode(body: Buffer): string {
  try {
    return utf8.decode(body);
  } catch (cause) {
    throw new HttpError(400, 'The body is not valid UTF-8.', { cause });
  }
}
