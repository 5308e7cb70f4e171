import { createHash } from 'node:crypto';
import { createReadStream, promises as fs } from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { HearthError } from '@hearth/protocol';
import { download, type FileBegin } from '../models/pull/download.js';
import { PartialFiles, partialKey } from '../models/pull/partial.js';
import { PullError } from '../models/pull/pull-error.js';
import { defaultPullPolicy, type PullPolicy } from '../models/pull/pull-policy.js';
import { isLoopback } from '../models/pull/pull-source.js';
import { Transport } from '../models/pull/transport.js';
import type { ModelStore } from '../models/store/model-store.js';
import { AcceleratorStore } from './accelerator-store.js';
import type { FetchedKind } from './kinds.js';
import {
  buildFor,
  type EngineBuild,
  type EnginePackage,
  engineVersion,
  folderOf,
  mostPackageBytes,
  mostUnpackedBytes,
  thisMachine,
} from './packages.js';
import { ArchiveError, unpackLibraries } from './unpack.js';

/** Where the packages come from unless somebody says otherwise. */
export const npmRegistry = 'https://registry.npmjs.org';

export interface AddOptions {
  readonly kind: FetchedKind;
  /** Its locks, and its place for what is not complete, are used; what is added lies below its home. */
  readonly store: ModelStore;
  /** Address of an npm registry. Only its own host is asked, and those of `moreHosts`. */
  readonly registry: URL;
  readonly moreHosts?: readonly string[];
  readonly offline: boolean;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: AddProgress) => void;
  /** For tests: another build than the one for this machine. */
  readonly build?: EngineBuild;
  /** For tests: shorter pauses. */
  readonly pauseMs?: number;
}

export interface AddProgress {
  readonly packageName: string;
  readonly bytes: number;
  readonly totalBytes: number | null;
}

export interface Added {
  /** Where the libraries are. */
  readonly folder: string;
  /** Of its files. */
  readonly bytes: number;
  /** It was there already; nothing was fetched. */
  readonly alreadyThere: boolean;
}

const gzip: FileBegin = {
  bytes: Buffer.from([0x1f, 0x8b]),
  otherwise: 'The registry sends no package, perhaps a web page. Check its address.',
};

/**
 * Fetches the build of llama.cpp for a kind of graphics card: downloads the packages, compares them with the hashes
 * that this version of Hearth pins, unpacks their libraries, and puts them in place whole. Broken off, the same call
 * goes on where it was. Nothing of it is loaded here.
 *
 * @throws PullError; HearthError `invalid_request` where there is no such build for this machine, `backend_unavailable`
 *   where another process adds one; an AbortError after `signal`
 */
export async function addAccelerator(options: AddOptions): Promise<Added> {
  const { kind, store, signal } = options;
  const build = options.build ?? buildFor(kind);
  if (build === undefined) {
    throw new HearthError('invalid_request', `There is no ${kind} build of the engine for ${thisMachine()}.`);
  }
  const accelerators = new AcceleratorStore(store.home);
  const there = await accelerators.find(kind).catch(() => undefined);
  if (there !== undefined) return { ...there, alreadyThere: true };
  const lock = await store.lock('accelerators');
  let draft: string | undefined;
  try {
    const archives: string[] = [];
    for (const one of build.packages) archives.push(await fetchPackage(one, options));
    draft = await accelerators.makeDraft();
    for (const archive of archives) await unpack(archive, folderOf(kind), draft, signal);
    await requireLibraries(draft, kind);
    const bytes = await sizeOf(draft);
    signal.throwIfAborted();
    await accelerators.put(draft, {
      schema: 1,
      kind,
      version: engineVersion,
      packages: build.packages.map(({ sha512 }) => sha512),
      bytes,
      addedAt: new Date().toISOString(),
    });
    draft = undefined;
    for (const one of build.packages) await partialOf(store, addressOf(one, options.registry)).remove();
    const added = await accelerators.find(kind);
    if (added === undefined) throw new HearthError('internal', 'The build is not where it was put.');
    return { folder: added.folder, bytes, alreadyThere: false };
  } finally {
    if (draft !== undefined) await fs.rm(draft, { recursive: true, force: true });
    lock.release();
  }
}

/** Fetches and checks one package, and gives the path of its archive. */
async function fetchPackage(one: EnginePackage, options: AddOptions): Promise<string> {
  const { store, signal, registry } = options;
  const url = addressOf(one, registry);
  await store.ensure('partial');
  const files = partialOf(store, url);
  const policy = policyOf(options);
  const transport = new Transport({ policy, token: undefined });
  try {
    await download({
      source: { url, shownUrl: `${url.origin}${url.pathname}`, isHuggingFace: false },
      transport,
      files,
      mostBytes: mostPackageBytes,
      pinned: one.sha512,
      begin: gzip,
      ...(options.pauseMs === undefined ? {} : { pauseMs: options.pauseMs }),
      signal,
      onBytes: (bytes, totalBytes) => {
        options.onProgress?.({ packageName: one.name, bytes, totalBytes });
      },
    });
  } finally {
    await transport.close();
  }
  const hash = createHash('sha512');
  await pipeline(createReadStream(files.data), hash, { signal });
  if (hash.digest('base64') === one.sha512) return files.data;
  await files.remove();
  throw new PullError(
    'wrong_content',
    `The package ${one.name} is not the one that this version of Hearth knows (its SHA-512 is another), and was not ` +
      'unpacked. Try again; if it happens again, do not trust the registry.',
  );
}

async function unpack(archive: string, folder: string, draft: string, signal: AbortSignal): Promise<void> {
  try {
    await unpackLibraries(archive, folder, draft, { mostBytes: mostUnpackedBytes }, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ArchiveError) {
      throw new PullError('wrong_content', `The package cannot be unpacked: ${error.message}.`, {
        cause: error,
      });
    }
    if (isFull(error)) {
      throw new PullError('disk_full', 'The disk is full. Make room, then give the same command again.', {
        cause: error,
      });
    }
    throw error;
  }
}

/** What every build has: the three libraries, the record of what they were made from, and that of its kind. */
async function requireLibraries(draft: string, kind: FetchedKind): Promise<void> {
  const names = await fs.readdir(draft);
  const wanted: readonly RegExp[] = [
    /^(?:lib)?ggml-base\.(?:so|dll)$/u,
    /^(?:lib)?ggml(?:\.\w+)?\.v[\d.]+\.(?:so|dll)$/u,
    /^(?:lib)?llama(?:\.\w+)?\.v[\d.]+\.(?:so|dll)$/u,
    new RegExp(`^(?:lib)?ggml-${kind}\\.(?:so|dll)$`, 'u'),
    /^llama-addon\.node$/u,
    /^_nlcBuildMetadata\.json$/u,
  ];
  if (wanted.every((pattern) => names.some((name) => pattern.test(name)))) return;
  throw new PullError(
    'wrong_content',
    `The package holds no ${kind} build as this version of Hearth knows it. Update Hearth.`,
  );
}

async function sizeOf(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await fs.readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await fs.stat(path.join(entry.parentPath, entry.name))).size;
  }
  return bytes;
}

function addressOf({ name }: EnginePackage, registry: URL): URL {
  const base = `${registry.origin}${registry.pathname.replace(/\/+$/u, '')}`;
  return new URL(`${base}/@node-llama-cpp/${name}/-/${name}-${engineVersion}.tgz`);
}

function partialOf(store: ModelStore, url: URL): PartialFiles {
  return new PartialFiles(store.partialDirectory, partialKey(url.href));
}

/** Whoever names a registry allows its host; plain http only where it is this machine. */
function policyOf({ registry, moreHosts = [], offline }: AddOptions): PullPolicy {
  return {
    ...defaultPullPolicy,
    hosts: [registry.hostname, ...moreHosts],
    allowLoopback: isLoopback(registry),
    offline,
    mostBytes: mostPackageBytes,
    allowWith: '`--allow-host`',
  };
}

function isFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
}
