import { createHash, timingSafeEqual } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { openRegularFile } from '../gguf-check.js';
import { ModelFileError } from '../model-file-error.js';

const pieceBytes = 1024 * 1024;

/**
 * SHA-256 of an open file from its first byte to its last.
 *
 * @param onProgress told how many bytes have been hashed, once a piece of 1 MiB
 * @throws ModelFileError `not_readable`; an AbortError after `signal`.
 */
export async function hashFile(
  file: FileHandle,
  signal: AbortSignal,
  onProgress: (bytes: number) => void = () => undefined,
): Promise<Buffer> {
  const hash = createHash('sha256');
  const piece = Buffer.allocUnsafe(pieceBytes);
  let position = 0;
  for (;;) {
    signal.throwIfAborted();
    const { bytesRead } = await read(file, piece, position);
    if (bytesRead === 0) return hash.digest();
    hash.update(piece.subarray(0, bytesRead));
    position += bytesRead;
    onProgress(position);
  }
}

/** Whether `digest` is the one that `expected`, 64 hexadecimal digits, names. Takes the same time whatever differs. */
export function isDigest(digest: Buffer, expected: string): boolean {
  const wanted = Buffer.from(expected, 'hex');
  return wanted.length === digest.length && timingSafeEqual(wanted, digest);
}

/**
 * Reads the whole file and compares its SHA-256 with `expected`. The file stays where it is.
 *
 * @throws ModelFileError `checksum` where they differ, or what opening it gives; an AbortError after `signal`.
 */
export async function verifyFile(path: string, expected: string, signal: AbortSignal): Promise<void> {
  const file = await openRegularFile(path);
  try {
    if (!isDigest(await hashFile(file, signal), expected)) throw new ModelFileError('checksum');
  } finally {
    await file.close();
  }
}

async function read(file: FileHandle, into: Buffer, position: number): Promise<{ bytesRead: number }> {
  try {
    return await file.read(into, 0, into.length, position);
  } catch (error) {
    throw new ModelFileError('not_readable', { cause: error });
  }
}
