import * as z from 'zod';
import { errorCodes } from './errors.js';
import { jobClasses } from './request.js';
import {
  embeddingsFrameSchema,
  renderedFrameSchema,
  rerankFrameSchema,
  textFrameSchema,
  tokensFrameSchema,
} from './typed-requests.js';

/**
 * The frames of NDJSON v1: what the inference socket and the admin socket write, one JSON object a line.
 * Source: behaviours.md 1.2 and 1.7.
 */

const u32 = z.int().min(0).max(4_294_967_295);

export const stopReasonSchema = z.enum(['end', 'length', 'cancelled', 'error']);
/** Why a generation ended: by itself, at `max_tokens`, because it was cancelled, or by a fault. */
export type StopReason = z.infer<typeof stopReasonSchema>;

export const usageSchema = z.object({
  prompt_tokens: u32,
  completion_tokens: u32,
  /** Of the prompt's tokens, those whose state was there already. Only where events were asked for. */
  cached_tokens: u32.optional(),
});
/** Tokens of one generation. */
export type Usage = z.infer<typeof usageSchema>;

const logprob = z.object({ token: u32, text: z.string(), logprob: z.number() });
export const tokenLogprobSchema = logprob.extend({ alternatives: z.array(logprob) });
/** A token's natural log-probability, and the likeliest tokens in its place, the likeliest first. */
export type TokenLogprob = z.infer<typeof tokenLogprobSchema>;

/** Where the time of a generation went, in milliseconds. */
export const timingsSchema = z.object({
  queue_ms: u32,
  /** From the request's arrival; absent where nothing was generated. */
  first_token_ms: u32.optional(),
  total_ms: u32,
  /** Of prompt tokens that were evaluated: those that were cached are not in it. */
  prefill_ms: z.number().min(0).optional(),
  decode_ms: z.number().min(0).optional(),
  /** Tokens that were predicted ahead, and how many of them were right. Only with speculative decoding. */
  draft_tokens: u32.optional(),
  draft_accepted: u32.optional(),
});
export type Timings = z.infer<typeof timingsSchema>;

const toolCallSchema = z.object({
  tool_call_id: z.string(),
  name: z.string(),
  /** A JSON object, as text. */
  arguments: z.string(),
});

export const tokenFrameSchema = z.object({
  id: z.string(),
  type: z.literal('token'),
  content: z.string(),
  /** Only where `logprobs` was asked for. */
  logprobs: z.array(tokenLogprobSchema).optional(),
});
/** A piece of generated text. Not terminal. */
export type TokenFrame = z.infer<typeof tokenFrameSchema>;

export const doneFrameSchema = z.object({
  id: z.string(),
  type: z.literal('done'),
  /** The whole text: all `token` contents joined (row 10). */
  content: z.string(),
  usage: usageSchema,
  stop_reason: stopReasonSchema,
  /** Name of the backend that served. For diagnosis; never branch on it. */
  backend: z.string(),
  /** What the model thought before it answered. Only where there is any. */
  thinking: z.string().optional(),
  /** The calls that the model made. Only where the request had tools and there are any. */
  tool_calls: z.array(toolCallSchema).optional(),
  /** True where `tool_choice` asked for a call and none was made. */
  tool_choice_unsatisfied: z.boolean().optional(),
  /** Why it ended by itself: a text of `stop`, or calls of tools. Only where events were asked for. */
  stop_detail: z.enum(['stop_sequence', 'tool_use']).optional(),
  /** Only where `logprobs` was asked for and nothing is streamed. */
  logprobs: z.array(tokenLogprobSchema).optional(),
  /** Only where events were asked for. */
  timings: timingsSchema.optional(),
});
/** The end of a generation that succeeded. Terminal. */
export type DoneFrame = z.infer<typeof doneFrameSchema>;

export const errorFrameSchema = z.object({
  id: z.string(),
  type: z.literal('error'),
  /** One of v1's five, unless the request asked for events. */
  code: z.enum(errorCodes),
  message: z.string(),
  /** Whether the same request may succeed later. Only where events were asked for. */
  retryable: z.boolean().optional(),
  /** When it is likely to, in milliseconds. Only where events were asked for, and where it is known. */
  retry_after_ms: u32.optional(),
  /** The subscription that this ended. Only where it was one. */
  subscription: z.int().min(1).max(Number.MAX_SAFE_INTEGER).optional(),
});
/** The end of a request that failed. Terminal. */
export type ErrorFrame = z.infer<typeof errorFrameSchema>;

const waiting = {
  id: z.string(),
  /** Requests that go first. */
  position: u32,
  /** Estimate from what was measured; absent before anything was. */
  expected_wait_ms: u32.optional(),
};

export const acceptedFrameSchema = z.object({
  type: z.literal('accepted'),
  ...waiting,
  class: z.enum(jobClasses),
});
export const queuedFrameSchema = z.object({ type: z.literal('queued'), ...waiting });
export const prefillFrameSchema = z.object({
  type: z.literal('prefill'),
  id: z.string(),
  backend: z.string(),
  /** How far a long prompt has been read, from 0 to 1. */
  progress: z.number().min(0).max(1).optional(),
});
export const heartbeatFrameSchema = z.object({
  type: z.literal('heartbeat'),
  id: z.string(),
  stage: z.enum(['queued', 'prefill', 'decode']),
  elapsed_ms: u32,
});
export const cancelledFrameSchema = z.object({
  type: z.literal('cancelled'),
  /** Of the `cancel` request. */
  id: z.string(),
  target: z.string(),
  /** Whether a request with that id was in flight on this connection. */
  found: z.boolean(),
});

export const loadingFrameSchema = z.object({
  type: z.literal('loading'),
  id: z.string(),
  model: z.string(),
  /** How much of it is there, from 0 to 1, where that is known. */
  progress: z.number().min(0).max(1).optional(),
});
export const thinkingFrameSchema = z.object({
  type: z.literal('thinking'),
  id: z.string(),
  content: z.string(),
});
export const toolCallFrameSchema = z.object({
  type: z.literal('tool_call'),
  id: z.string(),
  ...toolCallSchema.shape,
});
/** The engine died, and the stream goes on where it was. Only where `resume` was asked for. */
export const resumedFrameSchema = z.object({
  type: z.literal('resumed'),
  id: z.string(),
  completion_tokens: u32,
});
export const responseFrameSchema = z.discriminatedUnion('type', [
  tokenFrameSchema,
  doneFrameSchema,
  errorFrameSchema,
  acceptedFrameSchema,
  queuedFrameSchema,
  prefillFrameSchema,
  heartbeatFrameSchema,
  cancelledFrameSchema,
  loadingFrameSchema,
  thinkingFrameSchema,
  toolCallFrameSchema,
  resumedFrameSchema,
  embeddingsFrameSchema,
  rerankFrameSchema,
  tokensFrameSchema,
  textFrameSchema,
  renderedFrameSchema,
]);
/**
 * A frame of the inference socket. A request that did not ask for events gets `token`, `done` and `error` only:
 * exactly what version 1 knows.
 */
export type ResponseFrame = z.infer<typeof responseFrameSchema>;

/** The frame that answers a typed request, or a generation with `dry_run`. Terminal. */
export type AnswerFrame = Extract<
  ResponseFrame,
  { type: 'embeddings' | 'rerank' | 'tokens' | 'text' | 'rendered' }
>;

const terminalTypes: ReadonlySet<ResponseFrame['type']> = new Set<
  (DoneFrame | ErrorFrame | AnswerFrame)['type']
>(['done', 'error', 'embeddings', 'rerank', 'tokens', 'text', 'rendered']);

/** Whether `frame` is the last of its request. */
export function isTerminal(frame: ResponseFrame): frame is DoneFrame | ErrorFrame | AnswerFrame {
  return terminalTypes.has(frame.type);
}

/** Where a model that is being loaded has got to (behaviours.md 1.7). */
export const loadPhaseSchema = z.discriminatedUnion('phase', [
  z.object({ phase: z.literal('checking_local'), path: z.string() }),
  z.object({
    phase: z.literal('download'),
    downloaded_bytes: z.number(),
    total_bytes: z.number().nullable(),
    source_url: z.string(),
  }),
  z.object({ phase: z.literal('verify'), path: z.string() }),
  z.object({
    phase: z.literal('quarantine'),
    path: z.string(),
    expected_sha256: z.string(),
    actual_sha256: z.string(),
    quarantine_path: z.string(),
  }),
  z.object({ phase: z.literal('mmap'), path: z.string(), progress: z.number().min(0).max(1).optional() }),
  z.object({ phase: z.literal('kv_cache'), n_ctx: u32 }),
]);
export type LoadPhase = z.infer<typeof loadPhaseSchema>;

export const capabilitiesSchema = z.object({
  /** Unique name of the backend. */
  backend: z.string(),
  wire_version: u32,
  v2: z.boolean(),
  vision: z.boolean(),
  audio: z.boolean(),
  audio_sample_rate: u32.optional(),
  tools: z.boolean(),
  thinking: z.boolean(),
  embed: z.boolean(),
  rerank: z.boolean().optional(),
  accelerator: z.enum(['cpu', 'cuda', 'metal', 'vulkan', 'rocm']),
  gpu_layers: u32,
  device_name: z.string().optional(),
  vram_total_bytes: z.number().optional(),
});
/** What one backend can do. Absent keys are absent, never null (row 57). */
export type Capabilities = z.infer<typeof capabilitiesSchema>;

const adminEnvelope = { id: z.literal('admin'), type: z.literal('status') } as const;

/**
 * A frame of the admin socket. The envelope is flat: details stand beside `status` (row 52). A client ignores
 * states, phases and keys that it does not know.
 */
export const adminFrameSchema = z.union([
  z.object({ ...adminEnvelope, status: z.literal('starting') }),
  z.intersection(z.object({ ...adminEnvelope, status: z.literal('loading_model') }), loadPhaseSchema),
  z.intersection(z.object({ ...adminEnvelope, status: z.literal('capabilities') }), capabilitiesSchema),
  z.object({
    ...adminEnvelope,
    status: z.literal('ready'),
    /** Where the inference protocol is served over TCP, as `host:port`; only when TCP was switched on. */
    tcp: z.string().optional(),
  }),
  z.intersection(z.object({ ...adminEnvelope, status: z.literal('restarting') }), loadPhaseSchema),
  z.object({ ...adminEnvelope, status: z.literal('restarting') }),
  z.object({ ...adminEnvelope, status: z.literal('failed'), backend: z.string(), reason: z.string() }),
  z.object({ ...adminEnvelope, status: z.literal('draining') }),
]);
export type AdminFrame = z.infer<typeof adminFrameSchema>;
