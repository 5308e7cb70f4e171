import { randomUUID } from 'node:crypto';
import { promises as fs } from 'node:fs';
import path from 'node:path';
import { HearthError } from '@hearth/protocol';
import * as z from 'zod';
import { fetchedKinds, type FetchedKind } from './kinds.js';
import { engineVersion, folderOf } from './packages.js';

const recordSchema = z.object({
  schema: z.literal(1),
  kind: z.enum(fetchedKinds),
  version: z.string().max(32),
  /** SHA-512 of the packages that it was made of, in base64. */
  packages: z.array(z.string().max(128)).min(1).max(8),
  bytes: z.int().min(0),
  addedAt: z.string().max(40),
});
export type AcceleratorRecord = z.infer<typeof recordSchema>;

/** Largest record that is read, in bytes. */
const mostRecordBytes = 16 * 1024;

/** A build that is there, whole. */
export interface Installed {
  readonly kind: FetchedKind;
  /** Where its libraries lie. */
  readonly folder: string;
  readonly bytes: number;
  /** When, as ISO 8601. */
  readonly addedAt: string;
}

/**
 * The builds for graphics cards that were fetched, in `accelerators/` of the models' home, one directory a version of the
 * engine and a kind. A directory is put in place whole, with its record; what has none is no build.
 */
export class AcceleratorStore {
  readonly home: string;

  /** @param modelsHome absolute path of the models' home, which is private to its user */
  constructor(modelsHome: string) {
    this.home = path.join(modelsHome, 'accelerators');
  }

  /** The builds of this engine's version that are there, in the order of {@link fetchedKinds}. */
  async list(): Promise<readonly Installed[]> {
    const found = await Promise.all(fetchedKinds.map((kind) => this.find(kind)));
    return found.filter((one) => one !== undefined);
  }

  async find(kind: FetchedKind): Promise<Installed | undefined> {
    const place = this.#place(kind);
    const record = await readRecord(path.join(place, recordName));
    if (record?.kind !== kind || record.version !== engineVersion) return undefined;
    if (!(await isPrivate(place))) {
      throw new HearthError(
        'forbidden',
        `The ${kind} build is not used: another user can write to where it lies. Remove it with \`hearth accelerator remove ${kind}\`, and add it again.`,
      );
    }
    return { kind, folder: place, bytes: record.bytes, addedAt: record.addedAt };
  }

  /** An empty directory beside the builds, to unpack into. To be removed, or given to {@link put}. */
  async makeDraft(): Promise<string> {
    const draft = path.join(this.home, `.draft-${randomUUID()}`);
    await fs.mkdir(this.home, { recursive: true, mode: 0o700 });
    await this.#clearDrafts();
    await fs.mkdir(draft, { mode: 0o700 });
    return draft;
  }

  /** Makes a draft the build of its kind, in place of one that is there. */
  async put(draft: string, record: AcceleratorRecord): Promise<void> {
    await fs.writeFile(path.join(draft, recordName), `${JSON.stringify(record, undefined, 2)}\n`, {
      mode: 0o600,
      flush: true,
    });
    const place = this.#place(record.kind);
    await fs.mkdir(path.dirname(place), { recursive: true, mode: 0o700 });
    await this.remove(record.kind);
    await fs.rename(draft, place);
  }

  /** Gives the bytes that were freed; undefined where there was nothing. Workers that run keep what they have. */
  async remove(kind: FetchedKind): Promise<number | undefined> {
    const place = this.#place(kind);
    const record = await readRecord(path.join(place, recordName));
    const gone = path.join(this.home, `.draft-${randomUUID()}`);
    // A directory that is half gone is never seen under its name.
    const moved = await fs.rename(place, gone).then(
      () => true,
      (error: unknown) => {
        if (isMissing(error)) return false;
        throw error;
      },
    );
    if (!moved) return undefined;
    await fs.rm(gone, { recursive: true, force: true });
    return record?.bytes ?? 0;
  }

  #place(kind: FetchedKind): string {
    // As node-llama-cpp's packages name it, so that either driver finds it.
    return path.join(this.home, engineVersion, folderOf(kind));
  }

  /** What earlier attempts left when they were killed. One attempt at a time holds the store's lock. */
  async #clearDrafts(): Promise<void> {
    for (const name of await fs.readdir(this.home)) {
      if (name.startsWith('.draft-'))
        await fs.rm(path.join(this.home, name), { recursive: true, force: true });
    }
  }
}

const recordName = 'hearth.json';

async function readRecord(file: string): Promise<AcceleratorRecord | undefined> {
  const found = await fs.lstat(file).catch(() => undefined);
  if (found?.isFile() !== true || found.size > mostRecordBytes) return undefined;
  try {
    return recordSchema.parse(JSON.parse(await fs.readFile(file, 'utf8')));
  } catch {
    return undefined;
  }
}

/** Whether nobody but this user and root may put other libraries there. */
async function isPrivate(place: string): Promise<boolean> {
  const us = process.getuid?.();
  if (us === undefined) return true;
  const { uid, mode } = await fs.stat(place);
  return (uid === us || uid === 0) && (mode & 0o022) === 0;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
