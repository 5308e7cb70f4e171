import { promises as fs } from 'node:fs';
import path from 'node:path';
import { openRegularFile } from '../gguf-check.js';
import type { ModelStore } from '../store/model-store.js';
import { hashFile, isDigest } from '../trust/hash-file.js';
import { type Downloaded, download } from './download.js';
import { partialKey, type PartialFiles } from './partial.js';
import { PullError } from './pull-error.js';
import type { PullOptions } from './pull-options.js';
import { defaultPullPolicy } from './pull-policy.js';
import { Transport } from './transport.js';

/** Fetches one file and hashes it. What it hashes to is what was promised, where anybody promised. */
export async function fetchAndVerify(
  options: PullOptions,
  files: PartialFiles,
): Promise<{ readonly downloaded: Downloaded; readonly sha256: string }> {
  const downloaded = await fetchFile(options, files);
  const wanted = options.expected?.sha256 ?? downloaded.promisedSha256;
  return { downloaded, sha256: await verify(options, files, downloaded, wanted) };
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

/** Moves what was fetched to where nothing loads it. Of one source only the last such file is kept. */
export async function setAside(store: ModelStore, files: PartialFiles, key: string): Promise<void> {
  const stamp = new Date().toISOString().replaceAll(/[-:.]/gu, '');
  const directory = await store.ensure('quarantine');
  for (const earlier of await fs.readdir(directory)) {
    if (earlier.startsWith(`${key}.`)) await fs.rm(path.join(directory, earlier), { force: true });
  }
  await fs.rename(files.data, path.join(directory, `${key}.${stamp}`));
  await files.forgetState();
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
