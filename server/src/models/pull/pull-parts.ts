import { HearthError } from '@hearth/protocol';
import { ModelFileError } from '../model-file-error.js';
import { checkOpenParts, closeAll, openParts } from '../split/check-split.js';
import { type Manifest, manifestFacts } from '../store/manifest.js';
import { fetchAndVerify, setAside } from './fetch-verified.js';
import { PartialFiles, partialKey } from './partial.js';
import type { Pulled, PullOptions } from './pull-options.js';
import type { PullSource } from './pull-source.js';
import { askSizes, requireRoomForAll, WholeProgress } from './whole-size.js';

/** {@link PullOptions} for a model in several files. */
export interface PullPartsOptions extends PullOptions {
  readonly source: PullSource & Required<Pick<PullSource, 'parts'>>;
}

/**
 * Pulls a model in several files, one after the other, and gives it its name when all are there, right, and parts of one
 * model. What was fetched whole before a pull was stopped is not fetched again.
 *
 * @throws what `pullModel` does
 */
export async function pullParts(options: PullPartsOptions, name: string): Promise<Pulled> {
  const { store, source, signal, expected } = options;
  if (expected !== undefined) {
    throw new HearthError(
      'invalid_request',
      'One SHA-256 says nothing of a model in several files. Leave it out: what the source says of each file is checked.',
    );
  }
  const lock = await store.lock(partialKey(source.shownUrl));
  try {
    const directory = await store.ensure('partial');
    const sizes = await askSizes(options);
    await requireRoomForAll(options, directory, sizes);
    const whole = new WholeProgress(sizes);
    const fetched: {
      readonly files: PartialFiles;
      readonly sha256: string;
      readonly sizeBytes: number;
      readonly isPromised: boolean;
    }[] = [];
    let resumedBytes = 0;
    for (const [index, part] of source.parts.entries()) {
      const which = { index: index + 1, count: source.parts.length };
      const files = new PartialFiles(directory, partialKey(part.shownUrl));
      const { downloaded, sha256 } = await fetchAndVerify(
        {
          ...options,
          source: part,
          onProgress: (progress) => options.onProgress?.({ ...whole.add(index, progress), part: which }),
        },
        files,
      );
      const isPromised = downloaded.promisedSha256 !== undefined;
      fetched.push({ files, sha256, sizeBytes: downloaded.totalBytes, isPromised });
      resumedBytes += downloaded.resumedBytes;
    }
    const facts = await check(fetched.map(({ files }) => files.data)).catch(async (error: unknown) => {
      if (error instanceof ModelFileError) {
        for (const [index, { files }] of fetched.entries())
          await setAside(store, files, partialKey(source.parts[index]?.shownUrl ?? ''));
      }
      throw error;
    });
    signal.throwIfAborted();
    const manifest: Manifest = {
      schema: 1,
      name,
      displayName: (options.displayName ?? facts.name ?? name).slice(0, 200),
      file: { kind: 'parts', parts: fetched.map(({ sha256, sizeBytes }) => ({ sha256, sizeBytes })) },
      sizeBytes: facts.sizeBytes,
      source: {
        kind: 'download',
        url: source.shownUrl,
        checkedBy: fetched.every(({ isPromised }) => isPromised) ? 'server' : 'nobody',
      },
      ...manifestFacts(facts),
      addedAt: new Date().toISOString(),
    };
    for (const { files, sha256 } of fetched) await store.adopt(files.data, sha256);
    await store.write(manifest);
    for (const { files } of fetched) await files.remove();
    return { manifest, resumedBytes, alreadyThere: false };
  } finally {
    lock.release();
  }
}

async function check(paths: readonly string[]) {
  const files = await openParts(paths);
  try {
    return await checkOpenParts(files);
  } finally {
    await closeAll(files);
  }
}
