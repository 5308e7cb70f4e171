import { createHash, randomUUID } from 'node:crypto';
import { promises as fs } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';

/** A download that is not complete: its bytes in one file, and in another what is known of them. */

const count = z.int().min(0);
const partSchema = z.object({ start: count, end: count, done: count });
const stateSchema = z.object({
  schema: z.literal(1),
  url: z.string().max(2048),
  /** Strong ETag or date of the last change: what the bytes so far are of. */
  validator: z.string().min(1).max(1024),
  totalBytes: count,
  parts: z.array(partSchema).min(1).max(64),
});

/** A piece of the file: bytes from `start` to before `end`, of which the first `done` are on the disk. */
export interface Part {
  readonly start: number;
  readonly end: number;
  done: number;
}

export interface PartialState {
  readonly schema: 1;
  readonly url: string;
  readonly validator: string;
  readonly totalBytes: number;
  readonly parts: readonly Part[];
}

/** Key of a source in the store, of the grammar of model names. */
export function partialKey(url: string): string {
  return `pull-${createHash('sha256').update(url).digest('hex').slice(0, 32)}`;
}

/** Cuts a file into parts of about equal length, at most `most` and none below `leastBytes`. */
export function cutIntoParts(totalBytes: number, most: number, leastBytes: number): readonly Part[] {
  const number = Math.max(1, Math.min(most, Math.floor(totalBytes / leastBytes)));
  const size = Math.ceil(totalBytes / number);
  return Array.from({ length: number }, (_, index) => ({
    start: Math.min(totalBytes, index * size),
    end: Math.min(totalBytes, (index + 1) * size),
    done: 0,
  }));
}

export function bytesDone({ parts }: Pick<PartialState, 'parts'>): number {
  return parts.reduce((sum, { done }) => sum + done, 0);
}

/** The files of one download. */
export class PartialFiles {
  readonly data: string;
  readonly #state: string;

  constructor(directory: string, key: string) {
    this.data = path.join(directory, `${key}.part`);
    this.#state = path.join(directory, `${key}.json`);
  }

  /** What there is of the file that the server now has; undefined: nothing that fits together. */
  async read(url: string, validator: string, totalBytes: number): Promise<PartialState | undefined> {
    const text = await fs.readFile(this.#state, 'utf8').catch(() => undefined);
    const found = await fs.stat(this.data).catch(() => undefined);
    if (text === undefined || found === undefined) return undefined;
    const state = parse(text);
    if (state?.url !== url || state.validator !== validator || state.totalBytes !== totalBytes)
      return undefined;
    return isWhole(state, found.size) ? state : undefined;
  }

  async write(state: PartialState): Promise<void> {
    const temporary = `${this.#state}.${randomUUID()}`;
    await fs.writeFile(temporary, JSON.stringify(state), { mode: 0o600 });
    await fs.rename(temporary, this.#state);
  }

  async forgetState(): Promise<void> {
    await fs.rm(this.#state, { force: true });
  }

  async remove(): Promise<void> {
    await this.forgetState();
    await fs.rm(this.data, { force: true });
  }
}

/** A download that waits to be gone on with. */
export interface Unfinished {
  readonly url: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** Most downloads that are looked for. */
const mostListed = 100;

/** What was begun and not ended in a directory of {@link PartialFiles}. */
export async function listUnfinished(directory: string): Promise<readonly Unfinished[]> {
  const names = await fs.readdir(directory).catch(() => []);
  const states = await Promise.all(
    names
      .filter((name) => name.endsWith('.json'))
      .slice(0, mostListed)
      .map(async (name) => parse(await fs.readFile(path.join(directory, name), 'utf8').catch(() => ''))),
  );
  return states.flatMap((state) =>
    state === undefined
      ? []
      : [{ url: state.url, doneBytes: bytesDone(state), totalBytes: state.totalBytes }],
  );
}

function parse(text: string): PartialState | undefined {
  try {
    return stateSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Whether the parts cover the file without gap or overlap, and what they claim can be on the disk. */
function isWhole({ parts, totalBytes }: PartialState, fileBytes: number): boolean {
  let at = 0;
  for (const { start, end, done } of parts) {
    if (start !== at || end < start || done > end - start) return false;
    if (done > 0 && start + done > fileBytes) return false;
    at = end;
  }
  return at === totalBytes;
}
