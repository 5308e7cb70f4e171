import { promises as fs } from 'node:fs';
import { ModelFileError } from '../model-file-error.js';
import { checkWhole } from '../split/check-split.js';
import { blobsOf, manifestFacts, type Manifest } from '../store/manifest.js';
import { toModelName } from '../store/model-name.js';
import type { ModelStore } from '../store/model-store.js';
import { fetchAndVerify, setAside } from './fetch-verified.js';
import { partialKey, PartialFiles } from './partial.js';
import { PullError } from './pull-error.js';
import type { Pulled, PullOptions } from './pull-options.js';
import { pullParts } from './pull-parts.js';
import { defaultPullPolicy, requireAllowed } from './pull-policy.js';
import type { PullSource } from './pull-source.js';

export type { Pulled, PullOptions, PullProgress } from './pull-options.js';

/**
 * Fetches a model into the store: download, SHA-256, check of the GGUF header, and only then its name. Nothing of it
 * can be loaded before. What is not what was promised is moved to the store's quarantine, where nothing loads it.
 *
 * @throws PullError, ModelFileError; HearthError `backend_unavailable` where another process pulls the same; an
 *   AbortError after `signal`, after which the same call goes on where it was.
 */
export async function pullModel(options: PullOptions): Promise<Pulled> {
  const { store, source, expected, signal } = options;
  const name = options.name ?? toModelName(source.fileName);
  const there = await store.find(name).catch(() => undefined);
  if (there !== undefined && (await isSame(store, there, source, expected?.sha256))) {
    return { manifest: there, resumedBytes: 0, alreadyThere: true };
  }
  if (there !== undefined) requireSameSource(there, source);
  requireAllowed(source.url, options.policy ?? defaultPullPolicy);
  if (source.parts !== undefined)
    return pullParts({ ...options, source: { ...source, parts: source.parts } }, name);
  const key = partialKey(source.shownUrl);
  const lock = await store.lock(key);
  try {
    const files = new PartialFiles(await store.ensure('partial'), key);
    const { downloaded, sha256 } = await fetchAndVerify(options, files);
    const facts = await checkWhole(files.data).catch(async (error: unknown) => {
      if (error instanceof ModelFileError) await setAside(store, files, key);
      throw error;
    });
    signal.throwIfAborted();
    const manifest: Manifest = {
      schema: 1,
      name,
      displayName: (options.displayName ?? facts.name ?? name).slice(0, 200),
      file: { kind: 'blob', sha256 },
      sizeBytes: facts.sizeBytes,
      source: {
        kind: 'download',
        url: source.shownUrl,
        checkedBy: expected?.by ?? (downloaded.promisedSha256 === undefined ? 'nobody' : 'server'),
      },
      ...manifestFacts(facts),
      addedAt: new Date().toISOString(),
    };
    await store.adopt(files.data, sha256);
    await store.write(manifest);
    await files.remove();
    return { manifest, resumedBytes: downloaded.resumedBytes, alreadyThere: false };
  } finally {
    lock.release();
  }
}

/** Whether the store has this source's model already, whole. */
async function isSame(
  store: ModelStore,
  { file, source, sizeBytes }: Manifest,
  { shownUrl }: PullSource,
  wanted: string | undefined,
): Promise<boolean> {
  const blobs = blobsOf({ file });
  if (blobs.length === 0 || source.kind !== 'download' || source.url !== shownUrl) return false;
  if (wanted !== undefined && (blobs.length > 1 || wanted !== blobs[0])) return false;
  const found = await Promise.all(
    blobs.map((sha256) => fs.stat(store.blobPath(sha256)).catch(() => undefined)),
  );
  return found.reduce((sum, one) => sum + (one?.size ?? 0), 0) === sizeBytes;
}

function requireSameSource({ name, source }: Manifest, { shownUrl }: PullSource): void {
  if (source.kind === 'download' && source.url === shownUrl) return;
  throw new PullError(
    'bad_source',
    `The store has another model called "${name}". Give this one a name with --name, or remove that one with \`hearth rm ${name}\`.`,
  );
}
