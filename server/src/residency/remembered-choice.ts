import { randomUUID } from 'node:crypto';
import { promises as fs } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';

const schema = z.object({ schema: z.literal(1), model: z.string().min(1).max(256) });

/**
 * The model that somebody switched to last, so that a daemon that is started without a model of its own goes on with it:
 * `chosen.json` in the store. A place that cannot be read or written to costs the memory, and nobody the switch.
 */
export class RememberedChoice {
  readonly #file: string;
  /** The last write: they go one after another, so that the last one counts. */
  #written: Promise<void> = Promise.resolve();

  /** @param home of the store */
  constructor(home: string) {
    this.#file = path.join(home, 'chosen.json');
  }

  /** Its name in the store; undefined: none, and the daemon's own model stays. */
  async read(): Promise<string | undefined> {
    try {
      return schema.parse(JSON.parse(await fs.readFile(this.#file, 'utf8'))).model;
    } catch {
      return undefined;
    }
  }

  /** @param model Name in the store; undefined: the daemon's own model again. */
  keep(model: string | undefined): Promise<void> {
    this.#written = this.#written.then(() => this.#write(model)).catch(() => undefined);
    return this.#written;
  }

  async #write(model: string | undefined): Promise<void> {
    if (model === undefined) {
      await fs.rm(this.#file, { force: true });
      return;
    }
    await fs.mkdir(path.dirname(this.#file), { recursive: true, mode: 0o700 });
    const temporary = `${this.#file}.${randomUUID()}`;
    await fs.writeFile(temporary, `${JSON.stringify({ schema: 1, model })}\n`, { mode: 0o600 });
    await fs.rename(temporary, this.#file);
  }
}
