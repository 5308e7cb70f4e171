import * as z from 'zod';
import { stopReasonSchema } from './frames.js';

/**
 * What the activity log may say. Fields are structural: counts, names of ours, ids, times. No field takes
 * prompt text, generated text, a file path or a tool argument, so that no log can hold content (row 91).
 */

const count = z.int().min(0);
/** The id that the client gave, cut to 128 characters, redacted before it is written. */
const requestId = z.string().max(128);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const transport = z.enum(['unix', 'pipe', 'tcp', 'stdio']);

export const activityEventSchema = z.discriminatedUnion('msg', [
  z.object({ msg: z.literal('daemon_started'), pid: count, version: z.string() }),
  z.object({ msg: z.literal('daemon_ready'), startup_ms: count }),
  z.object({ msg: z.literal('daemon_draining'), in_flight: count, queued: count }),
  z.object({ msg: z.literal('daemon_stopped'), uptime_s: count }),
  z.object({
    msg: z.literal('backend_state'),
    backend: z.string(),
    state: z.string(),
    reason: z.string().optional(),
  }),
  /** A file whose bytes are not those that its checksum speaks of (row 86). */
  z.object({
    msg: z.literal('model_quarantined'),
    backend: z.string(),
    expected_sha256: sha256,
    actual_sha256: sha256,
    /** Whether the file could be moved; it is not loaded either way. */
    moved: z.boolean(),
  }),
  z.object({ msg: z.literal('model_loaded'), model: z.string(), load_ms: count }),
  z.object({
    msg: z.literal('model_unloaded'),
    model: z.string(),
    why: z.enum(['idle', 'room', 'asked', 'failed']),
  }),
  z.object({ msg: z.literal('model_pulled'), model: z.string(), bytes: count, resumed_bytes: count }),
  z.object({ msg: z.literal('model_pull_failed'), code: z.string() }),
  z.object({ msg: z.literal('model_switched'), model: z.string() }),
  z.object({ msg: z.literal('model_removed'), model: z.string(), freed_bytes: count }),
  z.object({ msg: z.literal('breaker_opened'), backend: z.string() }),
  z.object({ msg: z.literal('breaker_closed'), backend: z.string() }),
  z.object({
    msg: z.literal('connection_accepted'),
    transport,
    peer: z.string().optional(),
    peer_uid: count.optional(),
    peer_pid: count.optional(),
  }),
  z.object({ msg: z.literal('connection_closed'), transport, requests: count }),
  z.object({ msg: z.literal('connections_shed'), count, limit: count }),
  z.object({ msg: z.literal('peer_rejected'), peer_uid: count }),
  z.object({
    msg: z.literal('request_done'),
    req_id: requestId,
    backend: z.string(),
    stop_reason: stopReasonSchema,
    prompt_tokens: count,
    completion_tokens: count,
    queue_ms: count,
    first_token_ms: count.optional(),
    total_ms: count,
  }),
  z.object({
    msg: z.literal('request_cancelled'),
    req_id: requestId,
    stage: z.enum(['queued', 'prefill', 'decode']),
    completion_tokens: count,
    backend: z.string().optional(),
  }),
  z.object({ msg: z.literal('request_rejected'), req_id: requestId, code: z.string() }),
  z.object({
    msg: z.literal('request_error_pre_stream'),
    req_id: requestId,
    backend: z.string(),
    code: z.string(),
  }),
  z.object({ msg: z.literal('request_error_mid_stream'), req_id: requestId, backend: z.string() }),
  z.object({ msg: z.literal('request_oversized'), transport }),
  z.object({ msg: z.literal('write_timeout'), transport, after_ms: count }),
  z.object({ msg: z.literal('tcp_auth_rejected'), peer: z.string() }),
  z.object({ msg: z.literal('http_refused'), status: count, count }),
  z.object({ msg: z.literal('engine_event'), kind: z.string(), model: z.string() }),
  z.object({ msg: z.literal('journal_recovered'), cut_bytes: count, messages: count }),
  z.object({ msg: z.literal('shutdown_flush_failed'), channels: count }),
  z.object({ msg: z.literal('internal_error'), where: z.string(), error: z.string() }),
]);
/** One thing that happened. */
export type ActivityEvent = z.infer<typeof activityEventSchema>;

export const activityLevelSchema = z.enum(['debug', 'info', 'warn', 'error']);
export type ActivityLevel = z.infer<typeof activityLevelSchema>;

/** One line of the activity log as it stands in the file. */
export const activityRecordSchema = z.intersection(
  z.object({
    t: z.string().meta({ description: 'RFC 3339.' }),
    level: activityLevelSchema,
    component: z.string(),
  }),
  activityEventSchema,
);

/** One line of the activity log: when, how bad, from which part, what (row 88). */
export type ActivityRecord = {
  /** RFC 3339. */
  readonly t: string;
  readonly level: ActivityLevel;
  readonly component: string;
} & ActivityEvent;
