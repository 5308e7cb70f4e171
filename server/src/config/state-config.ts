import { clientChannelPattern } from '@hearth/protocol';
import * as z from 'zod';

/** What outlives the daemon: where it lies, and which channels are kept. */

const mebibyte = 1_048_576;

const durableChannel = z
  .string()
  .regex(clientChannelPattern, 'must be two to four names with a slash between, such as acme/review');

export const stateConfigShape = {
  /** Must be there and be writable: it is never made (row 168). */
  state_dir: z.string().min(1).optional(),
  /** Channels whose messages are kept. */
  durable_channels: z
    .array(durableChannel)
    .min(1)
    .max(64)
    .refine((names) => new Set(names).size === names.length, { message: 'names must be unique' })
    .optional(),
  /** Most bytes of one durable channel on the disk; its oldest messages are dropped for new ones. */
  durable_max_bytes: z
    .int()
    .min(65_536)
    .max(1024 * mebibyte)
    .default(16 * mebibyte),
};

/** What contradicts itself in these settings. */
export function stateContradictions(config: {
  readonly state_dir?: string | undefined;
  readonly durable_channels?: readonly string[] | undefined;
}): readonly string[] {
  if (config.durable_channels === undefined || config.state_dir !== undefined) return [];
  return ['durable_channels: needs state_dir, a directory to keep them in'];
}
