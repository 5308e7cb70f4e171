import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { isBeginOf, longestOf } from './states.js';
import type { FoundState, Scope, States } from './states.js';

/**
 * States in files, so that they outlive the worker. One file a state; its name says nothing of what it holds.
 *
 * File: magic, SHA-256 of all that follows, length of the key, the key, number of tokens, tokens, state. Numbers are
 * of 32 bits, little-endian. A file of another key is left alone; one that is damaged is deleted.
 */
export interface DiskStatesOptions {
  /** Made with mode 0700 where it is missing. */
  readonly directory: string;
  /** Most bytes of all files together, of every key. */
  readonly mostBytes: number;
  /** What a state depends on beside its tokens: the model, the release of llama.cpp, the parameters. */
  readonly key: string;
}

const magic = Buffer.from('HRTHKV01');
const digestBytes = 32;
const extension = '.kv';
/** Files that are looked at. */
const mostFiles = 4096;
/** Tokens of one state. */
const mostTokens = 2 ** 21;
const mostKeyBytes = 1024;

interface Entry {
  readonly file: string;
  readonly tokens: Int32Array;
  readonly scope: undefined;
  readonly bytes: number;
}

/** Nothing of it fails: a disk that is full or broken means that states are not kept. */
export class DiskStates implements States {
  readonly #options: DiskStatesOptions;
  /** Least recently used first. */
  #entries: Entry[] = [];
  /** Writes one after the other. */
  #work: Promise<void> = Promise.resolve();

  private constructor(options: DiskStatesOptions) {
    this.#options = options;
  }

  /** Looks at what is there. Undefined: the directory cannot be had. */
  static async open(options: DiskStatesOptions): Promise<DiskStates | undefined> {
    const states = new DiskStates(options);
    try {
      await mkdir(options.directory, { recursive: true, mode: 0o700 });
      const found = await stat(options.directory);
      const isOurs = process.getuid === undefined || found.uid === process.getuid();
      // What others may read or write is no place for what was said to a model.
      if (!isOurs || (process.platform !== 'win32' && (found.mode & 0o077) !== 0)) return undefined;
      await states.#readDirectory();
      return states;
    } catch {
      return undefined;
    }
  }

  find(prompt: readonly number[], scope: Scope): FoundState | undefined {
    const { entry, shared } = longestOf(this.#entries, prompt, scope) ?? {};
    if (entry === undefined || shared === undefined) return undefined;
    return { tokens: Array.from(entry.tokens), shared, load: () => this.#load(entry) };
  }

  /** A state of one client alone is not written. */
  put(tokens: readonly number[], scope: Scope, state: Uint8Array): void {
    if (scope !== undefined) return;
    const kept = Int32Array.from(tokens);
    if (this.#entries.some((one) => isBeginOf({ tokens: kept, scope }, one))) return;
    const file = path.join(this.#options.directory, randomBytes(16).toString('hex') + extension);
    this.#work = this.#work.then(() => this.#write(file, kept, state)).catch(() => undefined);
  }

  /** Resolves when everything that was put is on disk. */
  async flush(): Promise<void> {
    await this.#work;
  }

  async #write(file: string, tokens: Int32Array, state: Uint8Array): Promise<void> {
    const body = encode(this.#options.key, tokens, state);
    const bytes = magic.length + digestBytes + body.reduce((sum, part) => sum + part.length, 0);
    if (bytes > this.#options.mostBytes) return;
    const hash = createHash('sha256');
    for (const part of body) hash.update(part);
    const temporary = `${file}.part`;
    try {
      await writeFile(temporary, [magic, hash.digest(), ...body], { mode: 0o600, flag: 'wx' });
      await rename(temporary, file);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    const entry: Entry = { file, tokens, scope: undefined, bytes };
    const shorter = this.#entries.filter((one) => isBeginOf(one, entry));
    this.#entries = [...this.#entries.filter((one) => !shorter.includes(one)), entry];
    for (const { file: old } of shorter) await rm(old, { force: true });
    await this.#makeRoom();
  }

  /** Deletes the oldest files, of every key, until all fit. */
  async #makeRoom(): Promise<void> {
    const files = await this.#list();
    let total = files.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { file, bytes } of files) {
      if (total <= this.#options.mostBytes) return;
      await this.#delete(file);
      total -= bytes;
    }
  }

  async #load(entry: Entry): Promise<Uint8Array | undefined> {
    const content = await readFile(entry.file).catch(() => undefined);
    const parsed = content === undefined ? undefined : decode(content);
    if (parsed === undefined || parsed.key !== this.#options.key) {
      await this.#delete(entry.file);
      return undefined;
    }
    this.#entries = [...this.#entries.filter((one) => one !== entry), entry];
    return parsed.state;
  }

  async #delete(file: string): Promise<void> {
    this.#entries = this.#entries.filter((one) => one.file !== file);
    await rm(file, { force: true }).catch(() => undefined);
  }

  async #readDirectory(): Promise<void> {
    await this.#makeRoom();
    for (const { file, bytes } of await this.#list()) {
      const head = await readHead(file);
      if (head === 'damaged') await this.#delete(file);
      else if (head !== 'foreign' && head.key === this.#options.key) {
        this.#entries.push({ file, tokens: head.tokens, scope: undefined, bytes });
      }
    }
  }

  /** The files, the oldest first. What was left half-written by another process is deleted. */
  async #list(): Promise<readonly { readonly file: string; readonly bytes: number }[]> {
    const names = await readdir(this.#options.directory);
    const files = await Promise.all(
      names.slice(0, mostFiles).map(async (name) => {
        const file = path.join(this.#options.directory, name);
        const found = await stat(file).catch(() => undefined);
        if (found?.isFile() !== true) return [];
        const isStale = name.endsWith('.part') && Date.now() - found.mtimeMs > 3_600_000;
        if (isStale) await rm(file, { force: true });
        return name.endsWith(extension) ? [{ file, bytes: found.size, time: found.mtimeMs }] : [];
      }),
    );
    return files.flat().sort((one, other) => one.time - other.time);
  }
}

function encode(key: string, tokens: Int32Array, state: Uint8Array): readonly Uint8Array[] {
  const keyBytes = Buffer.from(key, 'utf8');
  return [
    u32(keyBytes.length),
    keyBytes,
    u32(tokens.length),
    new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength),
    state,
  ];
}

/** The key, tokens and state of a whole file; undefined: it is damaged. */
function decode(
  content: Buffer,
): { readonly key: string; readonly tokens: Int32Array; readonly state: Uint8Array } | undefined {
  const start = magic.length + digestBytes;
  if (content.length < start || !content.subarray(0, magic.length).equals(magic)) return undefined;
  const digest = createHash('sha256').update(content.subarray(start)).digest();
  if (!digest.equals(content.subarray(magic.length, start))) return undefined;
  const head = decodeHead(content.subarray(start));
  if (head === undefined) return undefined;
  // A copy of its own: it goes to native code by its address.
  const state = new Uint8Array(content.length - start - head.length);
  state.set(content.subarray(start + head.length));
  return { key: head.key, tokens: head.tokens, state };
}

function decodeHead(
  content: Buffer,
): { readonly key: string; readonly tokens: Int32Array; readonly length: number } | undefined {
  if (content.length < 4) return undefined;
  const keyLength = content.readUInt32LE(0);
  if (keyLength > mostKeyBytes || content.length < 8 + keyLength) return undefined;
  const key = content.toString('utf8', 4, 4 + keyLength);
  const count = content.readUInt32LE(4 + keyLength);
  const length = 8 + keyLength + 4 * count;
  if (count > mostTokens || content.length < length) return undefined;
  const tokens = Int32Array.from({ length: count }, (_, index) =>
    content.readInt32LE(8 + keyLength + 4 * index),
  );
  return { key, tokens, length };
}

/** What a file says of itself at its begin. Its sum is checked when it is used. */
async function readHead(
  file: string,
): Promise<{ readonly key: string; readonly tokens: Int32Array } | 'damaged' | 'foreign'> {
  const handle = await open(file, 'r').catch(() => undefined);
  if (handle === undefined) return 'foreign';
  try {
    const { size } = await handle.stat();
    const start = magic.length + digestBytes;
    const room = Math.min(size, start + 8 + mostKeyBytes + 4 * mostTokens);
    const buffer = Buffer.alloc(room);
    const { bytesRead } = await handle.read(buffer, 0, room, 0);
    if (!buffer.subarray(0, magic.length).equals(magic)) return 'damaged';
    return decodeHead(buffer.subarray(start, bytesRead)) ?? 'damaged';
  } finally {
    await handle.close();
  }
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
