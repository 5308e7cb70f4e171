import type { RecordActivity } from '../../record-activity.js';

/** Refusals of one status are told together for so long, in milliseconds: a flood of them is no flood of the log. */
const togetherMs = 1000;

/**
 * Requests that the gateway turned away before any work, by status. The first of a kind is told at once, the others of the
 * same second in one record. Nothing of a request is kept but what its answer said: the status.
 */
export class Refusals {
  readonly #record: RecordActivity;
  readonly #totals = new Map<number, number>();
  /** Not told yet, by the status whose second runs. */
  readonly #untold = new Map<number, { count: number; readonly timer: NodeJS.Timeout }>();

  constructor(record: RecordActivity) {
    this.#record = record;
  }

  /** All so far, by status. There are as many statuses as the gateway has refusals. */
  get totals(): ReadonlyMap<number, number> {
    return this.#totals;
  }

  readonly add = (status: number): void => {
    this.#totals.set(status, (this.#totals.get(status) ?? 0) + 1);
    const untold = this.#untold.get(status);
    if (untold !== undefined) {
      untold.count += 1;
      return;
    }
    this.#tell(status, 1);
    const timer = setTimeout(() => this.#flush(status), togetherMs).unref();
    this.#untold.set(status, { count: 0, timer });
  };

  /** Tells what was not told yet. */
  close(): void {
    for (const status of [...this.#untold.keys()]) this.#flush(status);
  }

  #flush(status: number): void {
    const untold = this.#untold.get(status);
    this.#untold.delete(status);
    clearTimeout(untold?.timer);
    if (untold !== undefined && untold.count > 0) this.#tell(status, untold.count);
  }

  #tell(status: number, count: number): void {
    this.#record('warn', 'connections', { msg: 'http_refused', status, count });
  }
}
