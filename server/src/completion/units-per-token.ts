/** Learns how many UTF-16 units of prompt a model's tokens have, from what the engine counted. */
export interface UnitsPerToken {
  /** The present estimate, on the careful side. */
  readonly estimate: () => number;
  /** Takes in one finished request. Figures that say nothing are ignored. */
  readonly learn: (units: number, tokens: number) => void;
}

/** A careful guess for code, before anything was counted. */
const guess = 3;
const least = 1.2;
const most = 6;
/** Weight of a new measurement. */
const weight = 0.2;
/** Smaller prompts say little. */
const leastUnits = 200;

export function createUnitsPerToken(): UnitsPerToken {
  let mean: number | undefined;
  return {
    // In steps, so that the cut of a prompt does not move with every answer.
    estimate: () => (mean === undefined ? guess : Math.max(1, Math.floor(mean * 1.8) / 2)),
    learn: (units, tokens) => {
      if (units < leastUnits || tokens <= 0) return;
      const measured = Math.min(most, Math.max(least, units / tokens));
      mean = mean === undefined ? measured : mean + (measured - mean) * weight;
    },
  };
}
