/** Times that are kept of one width. */
const windowSize = 15;
/** Up to here each width has times of its own; beyond, up to each power of two. */
const exactUpTo = 8;

/**
 * How long decode steps took of late, by how many sequences decoded. Bounded: fifteen times for each of at most
 * thirteen widths.
 */
export class StepTimes {
  readonly #times = new Map<number, number[]>();

  add(width: number, milliseconds: number): void {
    const key = keyOf(width);
    this.#times.set(key, [...(this.#times.get(key) ?? []), milliseconds].slice(-windowSize));
  }

  count(width: number): number {
    return this.#times.get(keyOf(width))?.length ?? 0;
  }

  /** Undefined where no step of this width was timed. */
  median(width: number): number | undefined {
    return medianOf(this.#times.get(keyOf(width)) ?? []);
  }

  /**
   * What a step of this width takes at most, by steps of other widths: one more sequence never makes a step quicker,
   * and never costs more than the first. Undefined where nothing was timed.
   */
  bound(width: number): number | undefined {
    const bounds = [...this.#times].flatMap(([known, times]) => {
      const median = medianOf(times);
      return median === undefined ? [] : [median * Math.max(1, keyOf(width) / known)];
    });
    return bounds.length === 0 ? undefined : Math.min(...bounds);
  }

  clear(): void {
    this.#times.clear();
  }
}

function keyOf(width: number): number {
  return width <= exactUpTo ? width : 2 ** Math.ceil(Math.log2(width));
}

function medianOf(values: readonly number[]): number | undefined {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)];
}
