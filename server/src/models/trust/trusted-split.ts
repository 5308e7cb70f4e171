import { type BigIntStats, promises as fs } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { ModelFileError } from '../model-file-error.js';
import type { ModelSource } from '../model-source.js';
import { checkOpenParts, closeAll, openParts, pathsOf } from '../split/check-split.js';
import { partName } from '../split/split-name.js';
import type { TrustedFile, TrustOptions } from './trusted-file.js';

/** Checks one open file against its hash, and remembers it. @throws ModelFileError */
export type VerifyOpen = (
  file: FileHandle,
  before: BigIntStats,
  shownPath: string,
  expected: string,
) => Promise<void>;

/**
 * A model in several files, with what {@link TrustedFile} promises for one: all are opened once, checked and hashed
 * through those descriptors, and compared once more after the load. llama.cpp finds the others by the name of the first:
 * files of the store, whose names are hashes, get private links under such names for the time of the load.
 *
 * @throws ModelFileError
 */
export async function openTrustedSplit(
  source: ModelSource,
  options: TrustOptions,
  verify: VerifyOpen,
): Promise<TrustedFile> {
  const paths = pathsOf(source);
  const files = await openParts(paths);
  let links: string | undefined;
  const close = async (): Promise<void> => {
    await closeAll(files);
    if (links !== undefined) await fs.rm(links, { recursive: true, force: true });
  };
  try {
    const before = await Promise.all(files.map((file) => file.stat({ bigint: true })));
    const facts = await checkOpenParts(files);
    for (const [index, part] of (source.parts ?? []).entries()) {
      const [file, stat] = [files[index], before[index]];
      if (part.sha256 !== undefined && file !== undefined && stat !== undefined)
        await verify(file, stat, part.path, part.sha256);
    }
    let loaded = paths;
    if (source.parts !== undefined) {
      links = await makeLinkDirectory(options);
      loaded = await linkParts(paths, links);
    }
    // Another file may have taken a name before it was linked, or taken one in a directory that is not ours since.
    const assertSame = async (): Promise<void> => {
      for (const [index, file] of files.entries()) {
        const [was, there] = [before[index], await fs.stat(loaded[index] ?? '', { bigint: true })];
        if (was === undefined || !isSame(was, await file.stat({ bigint: true })) || !isSame(was, there))
          throw new ModelFileError('changed');
      }
    };
    const [first] = loaded;
    if (first === undefined) throw new TypeError('a model has a file');
    return { facts, path: first, assertUnchanged: () => assertSame().catch(asChanged), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function makeLinkDirectory({ privateDirectory }: TrustOptions): Promise<string> {
  if (privateDirectory === undefined) throw new TypeError('parts of the store need a private directory');
  const directory = path.join(privateDirectory, randomUUID());
  await fs.mkdir(directory, { recursive: true, mode: 0o700 });
  return directory;
}

async function linkParts(paths: readonly string[], directory: string): Promise<readonly string[]> {
  const links = paths.map((_, index) => path.join(directory, partName('model', index + 1, paths.length)));
  for (const [index, link] of links.entries()) {
    const target = paths[index] ?? '';
    // Where there are no hard links a symbolic one does: what it leads to is compared after the load.
    await fs.link(target, link).catch(() => fs.symlink(target, link));
  }
  return links;
}

function asChanged(error: unknown): never {
  throw error instanceof ModelFileError ? error : new ModelFileError('changed', { cause: error });
}

/** A link more or less changes the time of the last change, so that is left out; what was written shows in the others. */
function isSame(before: BigIntStats, after: BigIntStats): boolean {
  return (['dev', 'ino', 'size', 'mtimeNs'] as const).every((key) => before[key] === after[key]);
}
