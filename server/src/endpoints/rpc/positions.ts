import * as z from 'zod';

/** A place in a document as LSP counts: lines from 0, UTF-16 units from 0 in the line. */
export const positionSchema = z.object({ line: z.int().min(0), character: z.int().min(0) });
export type Position = z.infer<typeof positionSchema>;

/** A stretch of a document, up to but not including its end. */
export const rangeSchema = z.object({ start: positionSchema, end: positionSchema });
