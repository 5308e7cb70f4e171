import { HearthError } from '@hearth/protocol';
import { findUpwards } from '../../models/find-upwards.js';

/** The worker's bundle of this build. @throws HearthError where it is not there */
export function findWorker(): string {
  const found = findUpwards(import.meta.url, ['engine-worker.mjs', 'dist/engine-worker.mjs']);
  if (found !== undefined) return found;
  throw new HearthError(
    'internal',
    'This copy of Hearth lacks its engine worker. Build or install it again.',
  );
}
