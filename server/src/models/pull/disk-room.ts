import { promises as fs } from 'node:fs';
import path from 'node:path';
import { PullError } from './pull-error.js';

/** Room that is left on the disk for everything else. */
const spareBytes = 64 * 1024 * 1024;

/** @throws PullError `too_large` */
export function requireSize(bytes: number, most: number): void {
  if (bytes <= most) return;
  throw new PullError('too_large', `The file is larger than it may be (${formatBytes(most)}).`);
}

/** Makes sure that so many bytes have room beside `file`. @throws PullError `disk_full` */
export async function requireRoom(file: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await fs.statfs(path.dirname(file));
  if (bavail * bsize >= bytes + spareBytes) return;
  throw new PullError(
    'disk_full',
    `The disk has ${formatBytes(bavail * bsize)} free, and ${formatBytes(bytes + spareBytes)} are needed: ${formatBytes(bytes)} for what is ` +
      `fetched, and ${formatBytes(spareBytes)} for everything else. Make room, for example with \`hearth rm\`, or move the store with ` +
      'HEARTH_MODELS_HOME.',
  );
}

/** What a failed write is told as: an error of a full disk in words, any other as it is. */
export function diskFull(error: unknown): unknown {
  const isFull =
    error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
  if (!isFull) return error;
  return new PullError('disk_full', 'The disk is full. Make room, then give the same command again.', {
    cause: error,
  });
}

function formatBytes(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${String(Math.ceil(bytes / 1e6))} MB`;
}
