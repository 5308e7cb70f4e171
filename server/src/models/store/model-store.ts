import { randomUUID } from 'node:crypto';
import { promises as fs } from 'node:fs';
import path from 'node:path';
import { HearthError } from '@hearth/protocol';
import { KernelLock } from '../../lock/kernel-lock.js';
import { StartupError } from '../../lock/startup-error.js';
import type { ModelSource } from '../model-source.js';
import { blobsOf, manifestSchema, type Manifest } from './manifest.js';
import { isModelName, modelNameRule } from './model-name.js';

/** Most models that a listing gives; what lies beyond is counted. */
export const mostListed = 1000;
/** Largest manifest that is read, in bytes. */
const mostManifestBytes = 64 * 1024;

export interface Listing {
  /** In order of their names. */
  readonly models: readonly Manifest[];
  /** Manifests that cannot be read, by name, and how many were not looked at. */
  readonly broken: readonly string[];
  readonly beyond: number;
}

/**
 * The store of models, shared by every Hearth of a user:
 *
 * ```
 * blobs/sha256-<hash>     the bytes, read-only, one file however many names they have
 * manifests/<name>.json   what a name means
 * partial/                downloads that are not complete
 * quarantine/             downloads whose bytes were not those that were promised
 * private/                links and copies while a model loads
 * locks/                  one kernel lock a name, for those who change it; the files stay
 * in-use/                 one a name, shared by the processes that have it loaded
 * ```
 *
 * It is made with mode 0700. Manifests are put in place whole, so that a reader sees the old one or the new one.
 */
export class ModelStore {
  readonly home: string;

  /** @param home absolute path; made when something is first written. */
  constructor(home: string) {
    this.home = home;
  }

  get privateDirectory(): string {
    return path.join(this.home, 'private');
  }

  get partialDirectory(): string {
    return path.join(this.home, 'partial');
  }

  get quarantineDirectory(): string {
    return path.join(this.home, 'quarantine');
  }

  blobPath(sha256: string): string {
    if (!/^[0-9a-f]{64}$/u.test(sha256)) throw new RangeError('a hash has 64 hexadecimal digits');
    return path.join(this.home, 'blobs', `sha256-${sha256}`);
  }

  /** Makes one of the store's directories, private to its user, and gives its path. */
  async ensure(
    directory: 'blobs' | 'manifests' | 'partial' | 'quarantine' | 'locks' | 'in-use',
  ): Promise<string> {
    const place = path.join(this.home, directory);
    await fs.mkdir(this.home, { recursive: true, mode: 0o700 });
    await fs.mkdir(place, { recursive: true, mode: 0o700 });
    return place;
  }

  /** @throws HearthError `invalid_request` where the name is none, `model_not_found` where there is no such model. */
  async read(name: string): Promise<Manifest> {
    const manifest = await this.find(name);
    if (manifest === undefined) {
      throw new HearthError(
        'model_not_found',
        `There is no model "${name}" in the store. \`hearth models\` lists them; \`hearth pull\` gets one.`,
      );
    }
    return manifest;
  }

  /** The manifest of `name`; undefined where there is none. @throws HearthError `invalid_request`, `internal` */
  async find(name: string): Promise<Manifest | undefined> {
    if (!isModelName(name)) throw badName();
    const text = await readBounded(this.#manifestPath(name));
    if (text === undefined) return undefined;
    const manifest = parseManifest(text);
    if (manifest?.name === name) return manifest;
    throw new HearthError(
      'model_load_failed',
      `The store's record of "${name}" is damaged. Remove it with \`hearth rm ${name}\`, then get the model again.`,
    );
  }

  async list(): Promise<Listing> {
    const files = await fs.readdir(path.join(this.home, 'manifests')).catch(() => []);
    const names = files
      .filter((file) => file.endsWith('.json'))
      .map((file) => file.slice(0, -'.json'.length))
      .filter(isModelName)
      .toSorted();
    const models: Manifest[] = [];
    const broken: string[] = [];
    for (const name of names.slice(0, mostListed)) {
      const manifest = await this.find(name).catch(() => undefined);
      if (manifest === undefined) broken.push(name);
      else models.push(manifest);
    }
    return { models, broken, beyond: Math.max(0, names.length - mostListed) };
  }

  /** Where the model's bytes are, for an engine to load. */
  toSource(manifest: Manifest): ModelSource {
    const { file, name, displayName, sizeBytes } = manifest;
    const common = { id: name, displayName, sizeBytes, storeName: name };
    if (file.kind === 'blob') return { ...common, path: this.blobPath(file.sha256), sha256: file.sha256 };
    if (file.kind === 'parts') {
      const parts = file.parts.map((part) => ({ path: this.blobPath(part.sha256), sha256: part.sha256 }));
      return { ...common, path: parts[0]?.path ?? '', parts };
    }
    return { ...common, path: file.path, ...(file.sha256 === undefined ? {} : { sha256: file.sha256 }) };
  }

  /** Puts a manifest in place, over one of that name. */
  async write(manifest: Manifest): Promise<void> {
    const checked = manifestSchema.parse(manifest);
    const directory = await this.ensure('manifests');
    const temporary = path.join(directory, `.${randomUUID()}.tmp`);
    try {
      await fs.writeFile(temporary, `${JSON.stringify(checked, undefined, 2)}\n`, {
        mode: 0o600,
        flush: true,
      });
      await fs.rename(temporary, this.#manifestPath(checked.name));
    } catch (error) {
      await fs.rm(temporary, { force: true });
      throw error;
    }
  }

  /**
   * Takes a complete, checked file into the store, where its name is its hash. The same bytes again take no room.
   *
   * @param file absolute path, on the store's disk; it is moved
   */
  async adopt(file: string, sha256: string): Promise<void> {
    await this.ensure('blobs');
    const blob = this.blobPath(sha256);
    await fs.chmod(file, 0o400);
    await fs.rename(file, blob);
  }

  /** Removes a name, and the bytes where no other name has them. Gives the bytes that were freed. */
  async remove(name: string): Promise<number> {
    if (!isModelName(name)) throw badName();
    const manifest = await this.find(name).catch(() => undefined);
    const gone = await fs.rm(this.#manifestPath(name)).then(
      () => true,
      () => false,
    );
    if (!gone) await this.read(name);
    const own = manifest === undefined ? [] : blobsOf(manifest);
    if (own.length === 0) return 0;
    const { models } = await this.list();
    const others = new Set(models.flatMap(blobsOf));
    let freed = 0;
    for (const sha256 of own) {
      if (others.has(sha256)) continue;
      freed += await removeFile(this.blobPath(sha256));
    }
    return freed;
  }

  /**
   * Holds off every other process that would change the same thing. To be released.
   *
   * @param what a name of the lock, of the grammar of model names
   * @throws HearthError `backend_unavailable` where another process is at it
   */
  async lock(what: string): Promise<{ release(): void }> {
    if (!isModelName(what)) throw badName();
    const file = path.join(await this.ensure('locks'), `${what}.lock`);
    try {
      return KernelLock.acquire(file);
    } catch (error) {
      if (!(error instanceof StartupError) || error.kind !== 'lock_held') throw error;
      throw new HearthError(
        'backend_unavailable',
        'Another Hearth is at work on this model. Wait until it has finished, then try again.',
        { cause: error },
      );
    }
  }

  /**
   * Says that this process uses a model, until it is released: meanwhile no process removes it. Any number may use one.
   *
   * @throws HearthError `backend_unavailable` where it is being removed
   */
  async use(name: string): Promise<{ release(): void }> {
    return this.#claim(name, true, 'The model is being removed. Choose another one, or get it again.');
  }

  /**
   * Makes sure that no process of this user uses a model, and that none begins to before this is released.
   *
   * @throws HearthError `backend_unavailable` where one does
   */
  async claim(name: string): Promise<{ release(): void }> {
    return this.#claim(
      name,
      false,
      `A Hearth has ${name} loaded. Switch it to another model or stop it, then try again.`,
    );
  }

  async #claim(name: string, shared: boolean, text: string): Promise<{ release(): void }> {
    if (!isModelName(name)) throw badName();
    // Apart from the locks of those who change a model, which are short and exclude each other.
    const file = path.join(await this.ensure('in-use'), name);
    try {
      return KernelLock.acquire(file, { shared });
    } catch (error) {
      if (!(error instanceof StartupError) || error.kind !== 'lock_held') throw error;
      throw new HearthError('backend_unavailable', text, { cause: error });
    }
  }

  #manifestPath(name: string): string {
    return path.join(this.home, 'manifests', `${name}.json`);
  }
}

/** Gives the bytes that were freed. */
async function removeFile(file: string): Promise<number> {
  const size = (await fs.stat(file).catch(() => undefined))?.size ?? 0;
  await fs.rm(file, { force: true });
  return size;
}

function badName(): HearthError {
  return new HearthError('invalid_request', `That is no name of a model. ${modelNameRule}`);
}

function parseManifest(text: string): Manifest | undefined {
  try {
    return manifestSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** A small file of ours; undefined where it is missing, empty where it is larger than any such file can be. */
async function readBounded(file: string): Promise<string | undefined> {
  const found = await fs.lstat(file).catch(() => undefined);
  if (found === undefined) return undefined;
  if (!found.isFile() || found.size > mostManifestBytes) return '';
  return fs.readFile(file, 'utf8').catch(() => undefined);
}
