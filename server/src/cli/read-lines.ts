import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { HearthError, limits } from '@hearth/protocol';

/** The lines of `input` that are not empty. */
export async function* readLines(input: Readable): AsyncGenerator<string, void, void> {
  for await (const line of createInterface({ input, crlfDelay: Infinity })) if (line !== '') yield line;
}

/** All of `input`. @throws HearthError `invalid_request` where it is more than one request takes. */
export async function readAll(input: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of input) {
    const bytes = Buffer.from(chunk as Uint8Array);
    length += bytes.length;
    if (length > limits.tokenizeBytes) {
      throw new HearthError('invalid_request', `more than ${String(limits.tokenizeBytes)} bytes at once`);
    }
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** `items`, some at a time. */
export async function* inBatches<Item>(
  items: AsyncIterable<Item> | Iterable<Item>,
  size: number,
): AsyncGenerator<readonly Item[], void, void> {
  let batch: Item[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
