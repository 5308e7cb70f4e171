import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import * as z from 'zod';
import type { DriverName, ThreadChoice } from './worker/messages.js';

/** Choices that are kept; the oldest goes. */
const mostEntries = 64;
const mostBytes = 64 * 1024;
const mostThreads = 1024;
const mostBatch = 65_536;

const fileSchema = z.object({
  version: z.literal(1),
  /** The latest last. */
  choices: z
    .array(
      z.object({
        key: z.string().max(64),
        threads: z.int().min(1).max(mostThreads),
        narrow_ms: z.number().positive(),
        wide_ms: z.number().positive(),
        batch: z.int().min(1).max(mostBatch).optional(),
      }),
    )
    .max(mostEntries),
});

type Entry = z.infer<typeof fileSchema>['choices'][number];

/**
 * Which number of threads was the fastest, and how many tokens of a prompt one step should have, by model and machine,
 * in a file. It is a convenience: what cannot be read
 * counts as not known, and what cannot be written is measured again. Keys are hashes; the file names no model.
 */
export class ThreadMemory {
  readonly #file: string;
  #turn: Promise<void> = Promise.resolve();

  /** @param file Need not exist, nor its directory. */
  constructor(file: string) {
    this.#file = file;
  }

  /** Undefined where nothing is known. Never rejects. */
  async recall(key: string): Promise<ThreadChoice | undefined> {
    await this.#turn;
    const found = (await this.#read()).find((entry) => entry.key === key);
    return (
      found && {
        threads: found.threads,
        narrowMs: found.narrow_ms,
        wideMs: found.wide_ms,
        ...(found.batch === undefined ? {} : { batch: found.batch }),
      }
    );
  }

  /** Never rejects. */
  keep(key: string, { threads, narrowMs, wideMs, batch }: ThreadChoice): Promise<void> {
    this.#turn = this.#turn.then(async () => {
      const others = (await this.#read()).filter((entry) => entry.key !== key);
      const choice = { key, threads, narrow_ms: narrowMs, wide_ms: wideMs };
      const choices = [...others, batch === undefined ? choice : { ...choice, batch }].slice(-mostEntries);
      await this.#write(choices).catch(() => undefined);
    });
    return this.#turn;
  }

  async #read(): Promise<readonly Entry[]> {
    try {
      const file = await open(this.#file, 'r');
      try {
        const { buffer, bytesRead } = await file.read(Buffer.alloc(mostBytes + 1), 0, mostBytes + 1, 0);
        if (bytesRead > mostBytes) return [];
        return fileSchema.parse(JSON.parse(buffer.toString('utf8', 0, bytesRead))).choices;
      } finally {
        await file.close();
      }
    } catch {
      return [];
    }
  }

  /** Whole or not at all: a daemon that reads meanwhile sees the old one or the new one. */
  async #write(choices: readonly Entry[]): Promise<void> {
    await mkdir(path.dirname(this.#file), { recursive: true, mode: 0o700 });
    const temporary = `${this.#file}.${randomUUID()}`;
    try {
      const file = await open(temporary, 'wx', 0o600);
      try {
        await file.writeFile(`${JSON.stringify({ version: 1, choices })}\n`);
      } finally {
        await file.close();
      }
      await rename(temporary, this.#file);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }
}

/** What a choice of threads depends on, as a hash. */
export function machineKey(model: string, driver: DriverName): string {
  const processor = os.cpus()[0]?.model ?? '';
  const parts = [model, driver, process.arch, processor, String(os.availableParallelism())];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}
