import * as z from 'zod';
import { activityRecordSchema } from './activity.js';
import { describeIssues } from './request.js';
import { engineEventSchema } from './engine-events.js';
import { HearthError } from './errors.js';
import type { JsonObject } from './json.js';
import { limits } from './limits.js';

/**
 * What clients of the inference socket say to the daemon and through it to each other beside generations: subscriptions,
 * publishing, questions with an answer, conversations. All of it is an addition to version 1: a client that sends none of
 * these requests gets none of these frames.
 *
 * Bodies are JSON of the clients' own. The daemon hands them on and never logs them.
 */

const u32 = z.int().min(0).max(4_294_967_295);
const positive = z.int().min(1).max(Number.MAX_SAFE_INTEGER);
const id = z.string().max(limits.idLength).default('').meta({ description: 'Echoed on the answer.' });
const body = z
  .unknown()
  .refine((value) => value !== undefined, { message: 'must be given' })
  .meta({ description: 'Any JSON.' });
const subscriptionId = positive.meta({ description: 'As `subscribed` gave it.' });
const conversation = z.string().min(1).max(limits.idLength);

/** The daemon's own channels. Nobody else publishes on them. */
export const daemonChannels = ['status', 'activity', 'metrics', 'models', 'engine'] as const;
/** One of the daemon's own channels. */
export type DaemonChannel = (typeof daemonChannels)[number];

/** A channel of clients' own: two to four names with a slash between, such as `acme/review`. */
export const clientChannelPattern = /^[a-z0-9][a-z0-9._-]{0,63}(?:\/[a-z0-9][a-z0-9._-]{0,63}){1,3}$/u;

const channel = z.string().min(1).max(260).meta({
  description: 'One of the daemon’s, or two to four names with a slash between, such as `acme/review`.',
});

/** What the daemon may ask a client, and what an answer to it is. */
export const asks = {
  /** May this tool be called? */
  approve_tool_call: {
    question: z.object({ tool: z.string().max(256), summary: z.string().max(4096).optional() }),
    answer: z.object({ approved: z.boolean() }),
  },
  /** What do these lines of a document say? Lines count from 1, both ends included. */
  file_range: {
    question: z.object({ document: z.string().max(4096), from_line: positive, to_line: positive }),
    answer: z.object({ text: z.string().max(1_048_576) }),
  },
  /** May this be fetched? */
  confirm_download: {
    question: z.object({ model: z.string().max(256), bytes: z.number().min(0).optional() }),
    answer: z.object({ approved: z.boolean() }),
  },
} as const satisfies Record<string, { readonly question: z.ZodType; readonly answer: z.ZodType }>;
/** A kind of question. */
export type AskKind = keyof typeof asks;
/** What is asked. */
export type AskQuestion<Kind extends AskKind> = z.input<(typeof asks)[Kind]['question']>;
/** Every kind of question. */
export const askKinds = Object.keys(asks) as readonly AskKind[];
const askKind = z.enum(Object.keys(asks) as [AskKind, ...AskKind[]]);

const timeoutMs = (fallback: number) =>
  z.int().min(1).max(limits.replyTimeoutMs).default(fallback).meta({
    description: 'Milliseconds to wait for the answer.',
  });

export const channelRequestSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('subscribe'),
    id,
    channel,
    max_in_flight: z.int().min(1).max(limits.inFlightEvents).default(32).meta({
      description: 'Events that may be on their way, or read and not acknowledged.',
    }),
    from_position: positive.optional().meta({
      description: 'For a durable channel: begin with this message rather than the next one.',
    }),
    answers: z.boolean().default(false).meta({
      description: 'Whether others may begin conversations with this subscriber.',
    }),
  }),
  z.object({
    type: z.literal('ack'),
    id,
    subscription: subscriptionId,
    seq: positive.meta({ description: 'This event and all before it have been dealt with.' }),
  }),
  z.object({ type: z.literal('unsubscribe'), id, subscription: subscriptionId }),
  z.object({
    type: z.literal('publish'),
    id,
    channel,
    body,
    idempotency_key: z.string().min(1).max(128).optional().meta({
      description: 'A second message with this key on this channel is not published again.',
    }),
  }),
  z.object({ type: z.literal('handle'), id, kinds: z.array(askKind).max(askKinds.length) }),
  z.object({ type: z.literal('ask'), id, kind: askKind, question: body, timeout_ms: timeoutMs(30_000) }),
  z.object({
    type: z.literal('reply'),
    id,
    correlation: positive.meta({ description: 'Of the `push` or `message` that is answered.' }),
    body,
  }),
  z.object({ type: z.literal('converse'), id, conversation, channel }),
  z.object({
    type: z.literal('say'),
    id,
    conversation,
    body,
    reply: z.boolean().default(false).meta({ description: 'Whether an answer is awaited.' }),
    timeout_ms: timeoutMs(5000),
  }),
  z.object({ type: z.literal('end'), id, conversation }),
]);
/** A request about channels, checked, with its defaults. */
export type ChannelRequest = z.output<typeof channelRequestSchema>;
/** A request about channels as a client writes it. */
export type ChannelRequestInput = z.input<typeof channelRequestSchema>;

const channelRequestTypes: ReadonlySet<unknown> = new Set(
  channelRequestSchema.options.map((option) => option.shape.type.value),
);

/** Whether a decoded line is a request about channels, valid or not. */
export function isChannelRequest(value: JsonObject): boolean {
  return Object.hasOwn(value, 'type') && channelRequestTypes.has(value['type']);
}

/** Checks a request about channels. @throws HearthError `invalid_request` that names each wrong field. */
export function parseChannelRequest(value: JsonObject): ChannelRequest {
  const result = channelRequestSchema.safeParse(value);
  if (result.success) return result.data;
  throw new HearthError('invalid_request', describeIssues(result.error));
}

const none = z.literal('').meta({ description: 'Always empty: no request asked for it.' });

export const channelFrameSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('subscribed'),
    id: z.string(),
    subscription: positive,
    channel: z.string(),
    /** For a durable channel: where its next message will lie, and the oldest that is still kept. */
    next_position: positive.optional(),
    oldest_position: positive.optional(),
  }),
  z.object({
    type: z.literal('event'),
    /** Of the `subscribe`. */
    id: z.string(),
    subscription: positive,
    /** From 1, without gaps, for each subscription. */
    seq: positive,
    /** In a durable channel: where the message lies. */
    position: positive.optional(),
    body: z.unknown(),
  }),
  z.object({
    type: z.literal('unsubscribed'),
    id: z.string(),
    subscription: positive,
    found: z.boolean(),
  }),
  z.object({
    type: z.literal('published'),
    id: z.string(),
    channel: z.string(),
    message_id: z.string(),
    /** Subscribers that it was handed to. */
    delivered: u32,
    /** True: the key was seen before, and this tells of the first message. */
    duplicate: z.boolean(),
    position: positive.optional(),
  }),
  z.object({ type: z.literal('handling'), id: z.string(), kinds: z.array(askKind) }),
  z.object({
    type: z.literal('push'),
    id: none,
    correlation: positive,
    kind: askKind,
    question: z.unknown(),
  }),
  z.object({ type: z.literal('answer'), id: z.string(), body: z.unknown() }),
  z.object({
    type: z.literal('conversation'),
    /** Of the `converse` or `end`; empty for the other side. */
    id: z.string(),
    conversation: z.string(),
    /** `offered`: somebody began it with you. */
    state: z.enum(['opened', 'offered', 'ended']),
    channel: z.string().optional(),
    reason: z.enum(['ended', 'peer_disconnected', 'slow_consumer']).optional(),
  }),
  z.object({ type: z.literal('said'), id: z.string(), conversation: z.string() }),
  z.object({
    type: z.literal('message'),
    id: none,
    conversation: z.string(),
    body: z.unknown(),
    /** Present: an answer is awaited. */
    correlation: positive.optional(),
  }),
  z.object({ type: z.literal('disconnect'), id: none, reason: z.enum(['draining', 'closing']) }),
]);
/** A frame about channels. Failures are `error` frames with all that is known. */
export type ChannelFrame = z.output<typeof channelFrameSchema>;

const backendState = z.enum(['starting', 'loading', 'ready', 'restarting', 'failed', 'stopped']);

/** An event of `status`: the daemon as it is now. Sent after a change, at most ten times a second. */
export const statusBodySchema = z.object({
  state: z.enum(['starting', 'loading', 'ready', 'failed', 'draining']),
  version: z.string(),
  pid: u32,
  uptime_ms: z.number(),
  backends: z.array(
    z.object({
      name: z.string(),
      state: backendState,
      breaker: z.enum(['closed', 'open', 'half_open']),
      model: z.string().optional(),
      tokens_per_second: z.number().optional(),
    }),
  ),
  admission: z.object({ active_permits: u32, permits_in_use: u32, queue_depth: u32, queued: u32 }),
  connections: z.object({ inference: u32, rpc: u32, admin: u32 }),
});
export type StatusBody = z.output<typeof statusBodySchema>;

/** An event of `models`: every backend and what it serves. Sent after a change. */
export const modelsBodySchema = z.object({
  models: z.array(
    z.object({
      backend: z.string(),
      state: backendState,
      id: z.string().optional(),
      display_name: z.string().optional(),
      context_size: u32.optional(),
      size_bytes: z.number().optional(),
      infill: z.boolean().optional(),
    }),
  ),
});
export type ModelsBody = z.output<typeof modelsBodySchema>;

/** An event of `metrics`: counts since the start. Sent after a change, at most once a second. */
export const metricsBodySchema = z.object({
  requests: u32,
  failed: u32,
  prompt_tokens: z.number(),
  completion_tokens: z.number(),
  permits_in_use: u32,
  queued: u32,
  connections: u32,
  subscriptions: u32,
  /** Subscriptions that were ended because their client did not keep up. */
  shed: u32,
});
export type MetricsBody = z.output<typeof metricsBodySchema>;

/** What the events of the daemon's channels hold. */
export const channelBodies = {
  status: statusBodySchema,
  activity: activityRecordSchema,
  metrics: metricsBodySchema,
  models: modelsBodySchema,
  engine: engineEventSchema,
} as const satisfies Record<DaemonChannel, z.ZodType>;
