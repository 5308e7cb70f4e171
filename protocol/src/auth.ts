import * as z from 'zod';
import { parseLine } from './ndjson.js';
import type { DecodedLine } from './ndjson.js';

/** The first frame of a TCP connection to a daemon that asks for a key. Source: behaviours.md 1.2. */
export const authFrameSchema = z.object({ type: z.literal('auth'), key: z.string().max(4096) });
export type AuthFrame = z.infer<typeof authFrameSchema>;

/**
 * The key in an auth frame, or undefined where the line is anything else. The caller compares it in constant
 * time and closes without a word where it is wrong.
 */
export function readAuthKey(line: DecodedLine): string | undefined {
  const parsed = parseLine(line);
  if (parsed.kind !== 'value') return undefined;
  return authFrameSchema.safeParse(parsed.value).data?.key;
}
