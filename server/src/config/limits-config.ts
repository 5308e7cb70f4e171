import * as z from 'zod';

/**
 * Bounds on connections and on what one of them may hold (rows 155 to 159). Each has a default, and zero is refused:
 * nothing is unlimited because nobody said otherwise.
 */

const mebibyte = 1_048_576;

export const limitsConfigSchema = z.strictObject({
  /** Connections of all kinds at once; fewer where the process may not have so many descriptors. */
  connections: z.int().min(1).max(65_536).default(256),
  /** Subscriptions of one connection. */
  subscriptions: z.int().min(1).max(1024).default(32),
  /** Conversations that one connection takes part in. */
  conversations: z.int().min(1).max(1024).default(32),
  /** Answers that one connection waits for, or owes. */
  pending: z.int().min(1).max(1024).default(32),
  /** Answers that are awaited within one conversation. */
  pending_per_conversation: z.int().min(1).max(1024).default(8),
  /** Events that wait for one connection. */
  inbox_entries: z.int().min(1).max(65_536).default(256),
  /** Bytes of events that wait for one connection. */
  inbox_bytes: z
    .int()
    .min(1)
    .max(1024 * mebibyte)
    .default(4 * mebibyte),
  /** Bytes of events that wait for all connections together. */
  total_inbox_bytes: z
    .int()
    .min(1)
    .max(16_384 * mebibyte)
    .default(64 * mebibyte),
  /** Bytes that are written to one connection before its peer has taken them. A longer frame ends the connection. */
  outbound_bytes: z
    .int()
    .min(1024)
    .max(1024 * mebibyte)
    .default(4 * mebibyte),
});

/** See {@link limitsConfigSchema}. */
export type LimitsConfig = z.output<typeof limitsConfigSchema>;
