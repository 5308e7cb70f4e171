import { createReadStream, promises as fs } from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';

/**
 * Unpacks the libraries of an npm package: a tar archive in the POSIX ustar format, compressed with gzip.
 *
 * Only plain files right below `package/bins/<folder>/`, or in a folder `fallback` there, are written, under names of
 * a narrow grammar. Everything else is skipped by its length and never becomes a name on this machine: links, devices,
 * directories, long names, whatever else a package holds.
 */

/** What may be unpacked. */
export interface UnpackLimits {
  /** All files together, whether they are written or not. */
  readonly mostBytes: number;
  /** Entries of the archive. @default 512 */
  readonly mostEntries?: number;
}

/** The archive is damaged, or holds what none of ours does. */
export class ArchiveError extends Error {
  override readonly name = 'ArchiveError';
}

const blockBytes = 512;
const fileName = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,95}$/u;
/** Where the build for older drivers lies. */
const subfolder = 'fallback';

/**
 * @param archive path of the package
 * @param folder within `bins/`
 * @param into an empty directory
 * @returns the files that were written, relative to `into`
 * @throws ArchiveError; the system's error where the disk fails; an AbortError after `signal`
 */
export async function unpackLibraries(
  archive: string,
  folder: string,
  into: string,
  limits: UnpackLimits,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const written: string[] = [];
  try {
    await pipeline(
      createReadStream(archive),
      createGunzip(),
      async (bytes: AsyncIterable<Buffer>) => {
        for await (const file of readArchive(bytes, limits)) {
          const name = libraryName(file.path, folder);
          if (name === undefined || file.kind !== 'file') {
            await drain(file.content);
            continue;
          }
          if (written.includes(name)) throw new ArchiveError(`${name} is in it twice`);
          await writeFile(path.join(into, name), file.content);
          written.push(name);
        }
      },
      { signal },
    );
  } catch (error) {
    if (error instanceof Error && 'code' in error && /^Z_|^ERR_.*ZLIB/u.test(String(error.code))) {
      throw new ArchiveError('it is no gzip archive, or breaks off', { cause: error });
    }
    throw error;
  }
  return written;
}

async function drain(content: AsyncIterable<Buffer>): Promise<void> {
  const pieces = content[Symbol.asyncIterator]();
  while ((await pieces.next()).done !== true);
}

async function writeFile(place: string, content: AsyncIterable<Buffer>): Promise<void> {
  await fs.mkdir(path.dirname(place), { recursive: true, mode: 0o700 });
  const file = await fs.open(place, 'wx', 0o500);
  try {
    for await (const piece of content) await file.writeFile(piece);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** What a path within the package is called here; undefined: it is not wanted. */
function libraryName(entry: string, folder: string): string | undefined {
  const parts = entry.split('/');
  const [top, bins, place, ...rest] = parts;
  if (top !== 'package' || bins !== 'bins' || place !== folder) return undefined;
  const name = rest.at(-1) ?? '';
  if (!fileName.test(name) || name.includes('..')) return undefined;
  if (rest.length === 1) return name;
  return rest.length === 2 && rest[0] === subfolder ? path.join(subfolder, name) : undefined;
}

interface Entry {
  readonly path: string;
  readonly kind: 'file' | 'other';
  /** To be read to its end before the next entry. */
  readonly content: AsyncIterable<Buffer>;
}

async function* readArchive(
  bytes: AsyncIterable<Buffer>,
  { mostBytes, mostEntries = 512 }: UnpackLimits,
): AsyncGenerator<Entry, void, void> {
  const reader = new BlockReader(bytes);
  let total = 0;
  for (let entries = 0; ; entries += 1) {
    if (entries > mostEntries) throw new ArchiveError('it has too many entries');
    const header = await reader.take(blockBytes);
    if (header === undefined) throw new ArchiveError('it breaks off');
    // Two empty blocks end an archive; one is as good.
    if (header.every((byte) => byte === 0)) return;
    const size = readSize(header);
    total += size;
    if (total > mostBytes) throw new ArchiveError('it is larger than any of ours');
    const kind = [0, 0x30].includes(header[156] ?? -1) ? 'file' : 'other';
    yield { path: readPath(header), kind, content: reader.pieces(size) };
    await reader.skip((blockBytes - (size % blockBytes)) % blockBytes);
  }
}

/** @throws ArchiveError where the header's checksum is wrong or its size is none. */
function readSize(header: Buffer): number {
  const stated = readOctal(header.subarray(148, 156));
  let sum = 0;
  for (const [index, byte] of header.entries()) sum += index >= 148 && index < 156 ? 0x20 : byte;
  if (stated !== sum) throw new ArchiveError('a header is damaged');
  const size = readOctal(header.subarray(124, 136));
  if (size === undefined) throw new ArchiveError('an entry has no size');
  return size;
}

function readOctal(field: Buffer): number | undefined {
  const digits = /^ *([0-7]+)[ \0]*$/u.exec(field.toString('latin1'))?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 8);
}

function readPath(header: Buffer): string {
  const text = (from: number, to: number): string =>
    header.toString('latin1', from, to).split('\0', 1)[0] ?? '';
  const prefix = text(345, 500);
  return prefix === '' ? text(0, 100) : `${prefix}/${text(0, 100)}`;
}

/** Bytes of a stream, so many at a time. It holds no more than one chunk of the stream. */
class BlockReader {
  readonly #source: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Exactly `count` bytes, few enough to hold; undefined where none is left. @throws ArchiveError */
  async take(count: number): Promise<Buffer | undefined> {
    const pieces: Buffer[] = [];
    for await (const piece of this.#some(count)) pieces.push(piece);
    const taken = Buffer.concat(pieces);
    if (taken.length === 0 && count > 0) return undefined;
    if (taken.length < count) throw new ArchiveError('it breaks off');
    return taken;
  }

  /** `count` bytes as they come. @throws ArchiveError */
  async *pieces(count: number): AsyncGenerator<Buffer, void, void> {
    let left = count;
    for await (const piece of this.#some(count)) {
      left -= piece.length;
      yield piece;
    }
    if (left > 0) throw new ArchiveError('it breaks off');
  }

  async skip(count: number): Promise<void> {
    await drain(this.pieces(count));
  }

  /** At most `count` bytes; fewer only at the end of the stream. */
  async *#some(count: number): AsyncGenerator<Buffer, void, void> {
    for (let left = count; left > 0;) {
      if (this.#rest.length === 0) {
        const next = await this.#source.next();
        if (next.done === true) return;
        this.#rest = next.value;
      }
      const piece = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(piece.length);
      left -= piece.length;
      if (piece.length > 0) yield piece;
    }
  }
}
