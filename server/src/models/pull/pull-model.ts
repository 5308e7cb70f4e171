import { promises as fs } from 'node:fs';
import path from 'node:path';
import { checkGguf, openRegularFile } from '../gguf-check.js';
import { ModelFileError } from '../model-file-error.js';
import { manifestFacts, type Manifest } from '../store/manifest.js';
import { toModelName } from '../store/model-name.js';
import type { ModelStore } from '../store/model-store.js';
import { hashFile, isDigest } from '../trust/hash-file.js';
import { type Downloaded, download, type DownloadOptions } from './download.js';
import { partialKey, PartialFiles } from './partial.js';
import { PullError } from './pull-error.js';
import { defaultPullPolicy, type PullPolicy, requireAllowed } from './pull-policy.js';
import type { PullSource } from './pull-source.js';
import { Transport } from './transport.js';

/** How far a pull has got. */
export type PullProgress =
  | {
      readonly phase: 'download';
      readonly downloadedBytes: number;
      /** Null: the server does not say. */
      readonly totalBytes: number | null;
      readonly sourceUrl: string;
    }
  | { readonly phase: 'verify'; readonly hashedBytes: number; readonly totalBytes: number };

export interface PullOptions {
  readonly store: ModelStore;
  readonly source: PullSource;
  /** Name in the store. @default made of the file's name */
  readonly name?: string | undefined;
  readonly displayName?: string | undefined;
  /** What the bytes have to hash to, and who says so; without it, what the server says, or nothing. */
  readonly expected?: { readonly sha256: string; readonly by: 'user' | 'catalogue' } | undefined;
  readonly token?: string | undefined;
  readonly policy?: PullPolicy;
  readonly signal: AbortSignal;
  /** Called for each step of 32 MiB, for each quarter of a second with news, and every five seconds without (row 53). */
  readonly onProgress?: (progress: PullProgress) => void;
  /** For tests: how a download goes about it. */
  readonly tuning?: Pick<DownloadOptions, 'parts' | 'leastPartBytes' | 'pauseMs'> & {
    readonly stallMs?: number;
  };
}

export interface Pulled {
  readonly manifest: Manifest;
  /** Bytes that an earlier attempt had left. */
  readonly resumedBytes: number;
  /** The store had it already, of this source; nothing was fetched. */
  readonly alreadyThere: boolean;
}

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
  const key = partialKey(source.shownUrl);
  const lock = await store.lock(key);
  try {
    const files = new PartialFiles(await store.ensure('partial'), key);
    const downloaded = await fetchFile(options, files);
    const wanted = expected?.sha256 ?? downloaded.promisedSha256;
    const sha256 = await verify(options, files, downloaded, wanted);
    const facts = await checkGguf(files.data).catch(async (error: unknown) => {
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

async function fetchFile(options: PullOptions, files: PartialFiles): Promise<Downloaded> {
  const { source, signal, tuning = {}, policy = defaultPullPolicy } = options;
  const transport = new Transport({
    policy,
    token: options.token,
    ...(tuning.stallMs === undefined ? {} : { stallMs: tuning.stallMs }),
  });
  const meter = new ProgressMeter((downloadedBytes, totalBytes) => {
    options.onProgress?.({ phase: 'download', downloadedBytes, totalBytes, sourceUrl: source.shownUrl });
  });
  try {
    return await download({
      ...tuning,
      source,
      transport,
      files,
      mostBytes: policy.mostBytes,
      signal,
      onBytes: (bytes, totalBytes) => {
        meter.update(bytes, totalBytes);
      },
    });
  } finally {
    meter.stop();
    await transport.close();
  }
}

async function verify(
  { store, source, signal, onProgress }: PullOptions,
  files: PartialFiles,
  { totalBytes }: Downloaded,
  wanted: string | undefined,
): Promise<string> {
  const file = await openRegularFile(files.data);
  let digest: Buffer;
  try {
    let told = 0;
    digest = await hashFile(file, signal, (hashedBytes) => {
      if (hashedBytes - told < 64 * 1024 * 1024 && hashedBytes < totalBytes) return;
      told = hashedBytes;
      onProgress?.({ phase: 'verify', hashedBytes, totalBytes });
    });
  } finally {
    await file.close();
  }
  const actual = digest.toString('hex');
  if (wanted === undefined || isDigest(digest, wanted)) return actual;
  await setAside(store, files, partialKey(source.shownUrl));
  throw new PullError(
    'wrong_content',
    `What was fetched is not the file that was promised, and was set aside: its SHA-256 is ${actual}, not ${wanted}. ` +
      'Try again; if it happens again, do not trust the source.',
  );
}

async function setAside(store: ModelStore, files: PartialFiles, key: string): Promise<void> {
  const stamp = new Date().toISOString().replaceAll(/[-:.]/gu, '');
  await fs.rename(files.data, path.join(await store.ensure('quarantine'), `${key}.${stamp}`));
  await files.forgetState();
}

/** Whether the store has this source's model already, whole. */
async function isSame(
  store: ModelStore,
  { file, source, sizeBytes }: Manifest,
  { shownUrl }: PullSource,
  wanted: string | undefined,
): Promise<boolean> {
  if (file.kind !== 'blob' || source.kind !== 'download' || source.url !== shownUrl) return false;
  if (wanted !== undefined && wanted !== file.sha256) return false;
  const found = await fs.stat(store.blobPath(file.sha256)).catch(() => undefined);
  return found?.size === sizeBytes;
}

function requireSameSource({ name, source }: Manifest, { shownUrl }: PullSource): void {
  if (source.kind === 'download' && source.url === shownUrl) return;
  throw new PullError(
    'bad_source',
    `The store has another model called "${name}". Give this one a name with --name, or remove that one with \`hearth rm ${name}\`.`,
  );
}

/** Tells of progress often enough to see it move, and seldom enough to cost nothing. */
class ProgressMeter {
  readonly #tell: (bytes: number, totalBytes: number | null) => void;
  readonly #timer: NodeJS.Timeout;
  #bytes = 0;
  #totalBytes: number | null = null;
  #toldBytes = -1;
  #toldAt = 0;

  constructor(tell: (bytes: number, totalBytes: number | null) => void) {
    this.#tell = tell;
    this.#timer = setInterval(() => {
      if (performance.now() - this.#toldAt >= 4500) this.#say();
    }, 5000);
  }

  update(bytes: number, totalBytes: number | null): void {
    [this.#bytes, this.#totalBytes] = [bytes, totalBytes];
    const isFar = bytes - this.#toldBytes >= 32 * 1024 * 1024;
    if (isFar || this.#toldBytes < 0 || performance.now() - this.#toldAt >= 250) this.#say();
  }

  /** Says where it ended. */
  stop(): void {
    clearInterval(this.#timer);
    if (this.#toldBytes >= 0 && this.#bytes !== this.#toldBytes) this.#say();
  }

  #say(): void {
    [this.#toldBytes, this.#toldAt] = [this.#bytes, performance.now()];
    this.#tell(this.#bytes, this.#totalBytes);
  }
}
