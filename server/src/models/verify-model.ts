import { createHash, timingSafeEqual } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { ModelFileError } from './model-file-error.js';

/**
 * Reads the whole file and compares its SHA-256 with `expected`, in lower-case hexadecimal.
 *
 * @throws ModelFileError `checksum` where they differ, `not_readable` where it cannot be read; an AbortError
 *   after `signal`.
 */
export async function verifyModel(path: string, expected: string, signal: AbortSignal): Promise<void> {
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw new ModelFileError('not_readable', { cause: error });
  }
  const actual = hash.digest();
  const wanted = Buffer.from(expected, 'hex');
  if (wanted.length !== actual.length || !timingSafeEqual(wanted, actual))
    throw new ModelFileError('checksum');
}
