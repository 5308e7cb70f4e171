import * as z from 'zod';
import { errorFrameSchema } from './frames.js';

/**
 * What a generation with `wire_version` is answered with: typed replies, whose pieces are blocks and whose end carries
 * no text. Source: behaviours.md 1.3.
 */

const u32 = z.int().min(0).max(4_294_967_295);

/** A piece of a typed reply. Calls of tools are complete, never streamed. */
export const blockFrameSchema = z.object({
  type: z.literal('frame'),
  id: z.string(),
  block: z.discriminatedUnion('type', [
    z.object({ type: z.literal('text'), delta: z.string() }),
    z.object({ type: z.literal('thinking'), delta: z.string() }),
    z.object({
      type: z.literal('tool_use'),
      tool_call_id: z.string(),
      name: z.string(),
      input: z.record(z.string(), z.unknown()),
    }),
  ]),
});
export type BlockFrame = z.infer<typeof blockFrameSchema>;

export const typedStopReasonSchema = z.enum([
  'end_turn',
  'max_tokens',
  'tool_use',
  'stop_sequence',
  'cancelled',
  'error',
]);
export type TypedStopReason = z.infer<typeof typedStopReasonSchema>;

/** The end of a typed reply. It carries no text. Terminal. */
export const typedDoneFrameSchema = z.object({
  type: z.literal('done'),
  id: z.string(),
  usage: z.object({ input_tokens: u32, output_tokens: u32 }),
  stop_reason: typedStopReasonSchema,
  /** Name of the backend that served. For diagnosis; never branch on it. */
  backend: z.string(),
  /** True where `tool_choice` asked for a call and none was made. */
  tool_choice_unsatisfied: z.boolean(),
});
export type TypedDoneFrame = z.infer<typeof typedDoneFrameSchema>;

/**
 * A frame of a typed reply. The codes of its `error` are those of version 1 and `attachment_unsupported`,
 * `tool_call_malformed` and `wire_version_unsupported`, unless the request asked for events.
 */
export const typedReplyFrameSchema = z.discriminatedUnion('type', [
  blockFrameSchema,
  typedDoneFrameSchema,
  errorFrameSchema,
]);
export type TypedReplyFrame = z.infer<typeof typedReplyFrameSchema>;
