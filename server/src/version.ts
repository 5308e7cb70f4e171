import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Build } from '@hearth/protocol';

/** Version of this build, as health and the activity log show it. Equals the manifest's; a test holds them together. */
export const version = '0.1.0';

/** The bundle's entry, which is written anew by each build; this module may lie in a chunk beside it. */
const entry = new URL('./hearth.cjs', import.meta.url);

/** This build. It was made when its entry was written; run from source, it is older than any that was built. */
export function thisBuild(): Build {
  const modified = statSync(fileURLToPath(entry), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return { version, builtAt: Math.floor(modified) };
}

/** Whether `one` is newer than `other`: by version, then by when it was made. */
export function isNewer(one: Build, other: Build): boolean {
  const byVersion = compareVersions(one.version, other.version);
  return byVersion === 0 ? one.builtAt > other.builtAt : byVersion > 0;
}

/** By major, minor and patch; what follows them does not count. */
function compareVersions(one: string, other: string): number {
  const parts = (text: string): number[] =>
    text.split(/[.+-]/u, 3).map((part) => Number.parseInt(part, 10) || 0);
  const others = parts(other);
  for (const [index, part] of parts(one).entries()) {
    const difference = part - (others[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
