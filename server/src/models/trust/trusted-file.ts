import { constants, promises as fs, type BigIntStats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import process from 'node:process';
import { checkOpenGguf, openRegularFile, type GgufFacts } from '../gguf-check.js';
import { ModelFileError } from '../model-file-error.js';
import type { ModelSource } from '../model-source.js';
import { partsBeside } from '../split/split-name.js';
import { hashFile, isDigest } from './hash-file.js';
import { quarantine } from './quarantine.js';
import { openTrustedSplit } from './trusted-split.js';
import { VerifiedFiles } from './verified-files.js';

/**
 * A model file whose checked bytes are the bytes that native code reads (row 87).
 *
 * - It is opened once. Its header is checked and its bytes are hashed through that one descriptor, so that renaming
 *   another file into its place changes nothing.
 * - On Linux the worker opens that same file as `/proc/<pid>/fd/<n>`. Elsewhere it gets a private hard link to it
 *   where a checksum is known and the file system has hard links, and otherwise its path, whose identity is compared
 *   once more when the load is over.
 * - A file with a checksum to which another user may write is copied first, into a directory of our own, as a clone of
 *   its blocks where the file system can; the copy is what is hashed and loaded.
 * - When the load is over, {@link TrustedFile.assertUnchanged} compares identity, size and both times of change: what
 *   was written in place meanwhile, even by ourselves, is refused before anybody is served.
 */
export interface TrustedFile {
  readonly facts: GgufFacts;
  /** What the worker is to open. Valid until {@link close}. */
  readonly path: string;
  /** To be called when the worker has loaded it. @throws ModelFileError `changed` */
  assertUnchanged(): Promise<void>;
  /** Gives descriptor, link and copy back. A worker that has loaded the file keeps what it has. */
  close(): Promise<void>;
}

export interface TrustOptions {
  readonly signal: AbortSignal;
  /** Called before the checksum is checked; `known`: this very file has been read whole before, and is not again. */
  readonly onVerify?: (known: boolean) => void;
  /** A directory for links and copies; made with mode 0700. Absent: files are used where they are. */
  readonly privateDirectory?: string;
  /** Default: the platform of this process. Decides how the worker gets at the file. */
  readonly platform?: NodeJS.Platform;
}

/** Files whose checksum was right, by their identity, for the life of the process. */
const verified = new VerifiedFiles();

/**
 * Opens, checks and, where a checksum is known, verifies the model's file.
 *
 * @throws ModelFileError; `ChecksumError` where the file was quarantined; an AbortError after `signal`.
 */
export async function openTrustedFile(source: ModelSource, options: TrustOptions): Promise<TrustedFile> {
  if (source.parts !== undefined || partsBeside(source.path) !== undefined) {
    return openTrustedSplit(source, options, (file, before, shownPath, expected) =>
      verify(file, before, shownPath, expected, options),
    );
  }
  const undo: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const step of undo.splice(0).toReversed()) await step().catch(() => undefined);
  };
  try {
    const original = await openRegularFile(source.path);
    undo.push(() => original.close());
    const copied = await copyIfShared(original, source, options, undo);
    const file = copied?.file ?? original;
    const given = copied?.path ?? (await pathForWorker(file, source, options, undo));
    const before = await file.stat({ bigint: true });
    const facts = await checkOpenGguf(file);
    if (facts.split !== undefined) throw new ModelFileError('wrong_parts');
    if (source.sha256 !== undefined) await verify(file, before, source.path, source.sha256, options);
    return {
      facts,
      path: given,
      assertUnchanged: async () => {
        if (!isSame(before, await file.stat({ bigint: true }))) throw new ModelFileError('changed');
        // A descriptor stays with its file; a path may have been given to another one.
        if (given !== source.path) return;
        const there = await fs.stat(given, { bigint: true }).catch(() => undefined);
        if (there === undefined || !isSame(before, there)) throw new ModelFileError('changed');
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function verify(
  file: FileHandle,
  before: BigIntStats,
  shownPath: string,
  expected: string,
  { signal, onVerify }: TrustOptions,
): Promise<void> {
  const known = verified.has(before, expected);
  onVerify?.(known);
  if (known) return;
  const digest = await hashFile(file, signal);
  if (!isDigest(digest, expected)) throw await quarantine(shownPath, expected, digest.toString('hex'));
  if (!isSame(before, await file.stat({ bigint: true }))) throw new ModelFileError('changed');
  verified.add(before, expected);
}

/** How the worker reaches the very file that is open here. */
async function pathForWorker(
  file: FileHandle,
  source: ModelSource,
  { platform = process.platform, privateDirectory }: TrustOptions,
  undo: (() => Promise<void>)[],
): Promise<string> {
  if (platform === 'linux') return `/proc/${String(process.pid)}/fd/${String(file.fd)}`;
  if (source.sha256 === undefined || privateDirectory === undefined) return source.path;
  const link = await privatePlace(privateDirectory);
  try {
    await fs.link(source.path, link);
  } catch {
    // Another disk, or a file system without hard links: its path, compared again after the load.
    return source.path;
  }
  undo.push(() => fs.rm(link, { force: true }));
  const [linked, opened] = [await fs.stat(link, { bigint: true }), await file.stat({ bigint: true })];
  if (linked.ino !== opened.ino || linked.dev !== opened.dev) throw new ModelFileError('changed');
  return link;
}

/** A copy of our own where another user could write to the file after it has been hashed; undefined: no need. */
async function copyIfShared(
  file: FileHandle,
  source: ModelSource,
  { privateDirectory }: TrustOptions,
  undo: (() => Promise<void>)[],
): Promise<{ readonly file: FileHandle; readonly path: string } | undefined> {
  const found = await file.stat({ bigint: true });
  if (source.sha256 === undefined || privateDirectory === undefined || isOursAlone(found)) return undefined;
  const copy = await privatePlace(privateDirectory);
  const { bavail, bsize } = await fs.statfs(path.dirname(copy), { bigint: true });
  if (bavail * bsize < found.size) throw new ModelFileError('no_space');
  undo.push(() => fs.rm(copy, { force: true }));
  try {
    await fs.copyFile(source.path, copy, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
    await fs.chmod(copy, 0o400);
  } catch (error) {
    const full = error instanceof Error && 'code' in error && error.code === 'ENOSPC';
    throw new ModelFileError(full ? 'no_space' : 'not_readable', { cause: error });
  }
  const opened = await openRegularFile(copy);
  undo.push(() => opened.close());
  return { file: opened, path: copy };
}

/** Whether nobody but this user, root and the user's own group may write to it. */
function isOursAlone({ mode, uid, gid }: BigIntStats): boolean {
  const us = process.getuid?.();
  if (us === undefined) return true;
  if (uid !== BigInt(us) && uid !== 0n) return false;
  if ((mode & 0o002n) !== 0n) return false;
  return (mode & 0o020n) === 0n || gid === BigInt(process.getgid?.() ?? -1);
}

async function privatePlace(directory: string): Promise<string> {
  await fs.mkdir(directory, { recursive: true, mode: 0o700 });
  return path.join(directory, `${randomUUID()}.gguf`);
}

function isSame(before: BigIntStats, after: BigIntStats): boolean {
  return (['dev', 'ino', 'size', 'mtimeNs', 'ctimeNs'] as const).every((key) => before[key] === after[key]);
}
