import { promises as fs } from 'node:fs';
import { askSize } from './ask-source.js';
import { requireRoom, requireSize } from './disk-room.js';
import { PartialFiles, partialKey } from './partial.js';
import type { PullProgress } from './pull-options.js';
import type { PullPartsOptions } from './pull-parts.js';
import { defaultPullPolicy } from './pull-policy.js';
import { Transport } from './transport.js';

/** What a model in several files takes as a whole: known before the first of them is fetched. */

/** Bytes of each file in order; undefined where its server does not say. */
export type PartSizes = readonly (number | undefined)[];

/** Files whose size is asked for at once. */
const askedAtOnce = 4;

/**
 * Asks for the size of every file, so that one that is missing or too large for the disk is known of before hours have
 * been spent on the others.
 *
 * @throws PullError; an AbortError after the signal
 */
export async function askSizes(options: PullPartsOptions): Promise<PartSizes> {
  const { source, signal, token, tuning = {}, policy = defaultPullPolicy } = options;
  const stall = tuning.stallMs === undefined ? {} : { stallMs: tuning.stallMs };
  const transport = new Transport({ policy, token, ...stall });
  const pause = tuning.pauseMs === undefined ? {} : { pauseMs: tuning.pauseMs };
  const sizes: (number | undefined)[] = [];
  try {
    for (let at = 0; at < source.parts.length; at += askedAtOnce) {
      const group = source.parts.slice(at, at + askedAtOnce);
      const asked = group.map(({ url }) => askSize({ transport, signal, ...pause }, url));
      sizes.push(...(await Promise.all(asked)));
    }
  } finally {
    await transport.close();
  }
  requireSize(totalOf(sizes) ?? 0, policy.mostBytes);
  return sizes;
}

/** Makes sure that the disk has room for what is not there yet. @throws PullError `disk_full` */
export async function requireRoomForAll(
  { source }: PullPartsOptions,
  directory: string,
  sizes: PartSizes,
): Promise<void> {
  let missing = 0;
  for (const [index, part] of source.parts.entries()) {
    const { data } = new PartialFiles(directory, partialKey(part.shownUrl));
    // Files with gaps count as what is on the disk of them.
    const { blocks = 0 } = (await fs.stat(data).catch(() => undefined)) ?? {};
    missing += Math.max(0, (sizes[index] ?? 0) - blocks * 512);
  }
  await requireRoom(new PartialFiles(directory, 'all').data, missing);
}

/** Counts what has come of each file together. */
export class WholeProgress {
  readonly #sizes: (number | undefined)[];
  readonly #done: number[];

  constructor(sizes: PartSizes) {
    this.#sizes = [...sizes];
    this.#done = sizes.map(() => 0);
  }

  /** Progress of the file at `index`, from 0, as progress of all. */
  add(index: number, progress: PullProgress): PullProgress {
    if (progress.phase === 'verify') return progress;
    const { downloadedBytes, totalBytes } = progress;
    this.#done[index] = downloadedBytes;
    this.#sizes[index] = totalBytes ?? undefined;
    return {
      ...progress,
      downloadedBytes: this.#done.reduce((sum, done) => sum + done, 0),
      totalBytes: totalOf(this.#sizes) ?? null,
    };
  }
}

/** Undefined where one of them is not known. */
function totalOf(sizes: PartSizes): number | undefined {
  return sizes.reduce<number | undefined>(
    (sum, size) => (sum === undefined || size === undefined ? undefined : sum + size),
    0,
  );
}
