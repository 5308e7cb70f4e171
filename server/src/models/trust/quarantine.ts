import { promises as fs } from 'node:fs';
import { ModelFileError } from '../model-file-error.js';

/** A file whose bytes are not those that its checksum speaks of (row 86). */
export interface Quarantined {
  readonly path: string;
  readonly expectedSha256: string;
  readonly actualSha256: string;
  /** Where it lies now; undefined where it could not be moved, as on a read-only disk. It is not loaded either way. */
  readonly quarantinePath: string | undefined;
}

/** The error of a file that was set aside, with the hashes for whoever reports it. */
export class ChecksumError extends ModelFileError {
  readonly quarantined: Quarantined;

  constructor(quarantined: Quarantined) {
    super('checksum');
    this.quarantined = quarantined;
  }
}

/**
 * Sets a file aside as `<path>.quarantine.<time>`, where nothing loads it and its owner can look at it. Nothing that
 * is there already is overwritten.
 *
 * @param now the time of the name, in milliseconds since 1970
 */
export async function quarantine(
  path: string,
  expectedSha256: string,
  actualSha256: string,
  now: number = Date.now(),
): Promise<ChecksumError> {
  const stamp = new Date(now).toISOString().replaceAll(/[-:]/gu, '').replace('.', '');
  const target = `${path}.quarantine.${stamp}`;
  const quarantinePath = await fs.rename(path, target).then(
    () => target,
    () => undefined,
  );
  return new ChecksumError({ path, expectedSha256, actualSha256, quarantinePath });
}
