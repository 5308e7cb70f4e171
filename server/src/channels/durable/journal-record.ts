import { crc32 } from 'node:zlib';
import * as z from 'zod';

/**
 * Lines of a journal: eight hexadecimal digits of the CRC-32 of what follows, a space, one JSON object, a line feed. A
 * line whose sum is wrong was not written to its end.
 */

export const journalHeaderSchema = z.object({
  format: z.literal(1),
  channel: z.string(),
  /** Position of the first message of this file. */
  first: z.int().min(1),
});
export type JournalHeader = z.infer<typeof journalHeaderSchema>;

export const journalMessageSchema = z.object({
  position: z.int().min(1),
  /** Milliseconds since 1970. */
  at: z.number(),
  id: z.string(),
  key: z.string().optional(),
  body: z.unknown(),
});
export type JournalMessage = z.infer<typeof journalMessageSchema>;

/** The last line of a file that was closed in order. */
export const journalEndSchema = z.object({ closed: z.literal(true), next: z.int().min(1) });

const lineFeed = 0x0a;
const sumLength = 8;

/** One line. @param json one JSON object */
export function toLine(json: string): Buffer {
  const content = Buffer.from(json);
  const sum = crc32(content).toString(16).padStart(sumLength, '0');
  return Buffer.concat([Buffer.from(`${sum} `), content, Buffer.from('\n')]);
}

export interface ScannedLine {
  /** Where it begins, in bytes from the start of `bytes`. */
  readonly offset: number;
  readonly end: number;
  /** The object's text; undefined where the sum is wrong. */
  readonly json: string | undefined;
}

/** The whole lines in `bytes`, in order. What follows the last line feed is none. */
export function* scanLines(bytes: Buffer): Generator<ScannedLine, void, void> {
  let offset = 0;
  for (;;) {
    const feed = bytes.indexOf(lineFeed, offset);
    if (feed === -1) return;
    const sum = bytes.toString('latin1', offset, offset + sumLength);
    const content = bytes.subarray(Math.min(offset + sumLength + 1, feed), feed);
    const isGood = crc32(content).toString(16).padStart(sumLength, '0') === sum;
    yield { offset, end: feed + 1, json: isGood ? content.toString('utf8') : undefined };
    offset = feed + 1;
  }
}
