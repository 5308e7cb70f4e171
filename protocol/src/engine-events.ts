import * as z from 'zod';
import { errorCodes } from './errors.js';
import { stopReasonSchema } from './frames.js';
import type { JsonObject } from './json.js';

/**
 * What becomes of engines and requests, for whoever counts, watches or bills. No kind has a field for a prompt, an answer, a
 * path or an argument; names are of ours: backends, models as they were loaded, routes of a closed set.
 *
 * The first six kinds and their fields are those of gradatum's event contract (behaviours.md 2.2).
 */

const count = z.int().min(0);
const ms = z.number().min(0);
/** Name of a loaded model; that of its backend where none is loaded yet. */
const model = z.string();
/** Which way the request came, such as `ndjson` or `/v1/chat/completions`. */
const route = z.string();
/** Name of the backend; empty where no backend was reached. */
const provider = z.string();

export const engineEventSchema = z.discriminatedUnion('kind', [
  /** `port`: 0 where the engine listens on none. */
  z.object({ kind: z.literal('engine_started'), model, port: z.int().min(0).max(65_535) }),
  z.object({ kind: z.literal('model_loaded'), model }),
  z.object({ kind: z.literal('warm_up_complete'), model }),
  z.object({
    kind: z.literal('request_served'),
    route,
    model,
    provider,
    latency_ms: count,
    /** As an HTTP client is told: 200, or what the error means. Always below 500. */
    status_code: z.int().min(100).max(499),
    queue_ms: ms.optional(),
    first_token_ms: ms.optional(),
    prompt_tokens: count.optional(),
    completion_tokens: count.optional(),
    /** Prompt tokens that were not computed again. */
    cached_tokens: count.optional(),
    /** Tokens that were guessed ahead, and those of them that were right. */
    draft_tokens: count.optional(),
    draft_accepted: count.optional(),
    stop_reason: stopReasonSchema.optional(),
  }),
  z.object({ kind: z.literal('engine_error'), model, error: z.string() }),
  z.object({ kind: z.literal('engine_stopping'), model }),
  z.object({ kind: z.literal('engine_restarting'), model, attempt: count }),
  z.object({
    kind: z.literal('request_failed'),
    route,
    model,
    provider,
    latency_ms: count,
    status_code: z.int().min(500).max(599),
    code: z.enum(errorCodes),
  }),
  z.object({
    kind: z.literal('request_cancelled'),
    route,
    model,
    provider,
    latency_ms: count,
    completion_tokens: count,
  }),
]);
/** One thing that happened. */
export type EngineEvent = z.infer<typeof engineEventSchema>;

const knownKinds: ReadonlySet<unknown> = new Set(
  engineEventSchema.options.map((option) => option.shape.kind.value),
);

/** What a consumer makes of a value: later daemons may tell of more kinds, which are to be passed over (row 95). */
export type EngineEventReading =
  | { readonly kind: 'event'; readonly event: EngineEvent }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'malformed' };

/** Reads an engine event. Never throws. */
export function readEngineEvent(value: JsonObject): EngineEventReading {
  const result = engineEventSchema.safeParse(value);
  if (result.success) return { kind: 'event', event: result.data };
  const kind = value['kind'];
  return { kind: typeof kind === 'string' && !knownKinds.has(kind) ? 'unknown' : 'malformed' };
}
