import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The first of `candidates` that exists in the folder of `from` or in one above it, as an absolute path. Finds what
 * is shipped beside the code, whether that runs from its source, from a bundle, or from an installed extension.
 *
 * @param from a `file:` URL, as `import.meta.url` is.
 */
export function findUpwards(from: string, candidates: readonly string[]): string | undefined {
  let folder = path.dirname(fileURLToPath(from));
  for (;;) {
    for (const candidate of candidates) {
      const found = path.join(folder, candidate);
      if (existsSync(found)) return found;
    }
    const parent = path.dirname(folder);
    if (parent === folder) return undefined;
    folder = parent;
  }
}
