import type { ThreadChoice } from './messages.js';
import { othersBusy, readProcessorTimes } from './machine-room.js';
import type { ProcessorTimes } from './machine-room.js';

/** Runs one decode step with `threads` threads; gives its time in milliseconds. */
export type TimedStep = (threads: number) => Promise<number>;

/** A choice, and whether it says something of the machine rather than of what else ran meanwhile. */
export interface Calibration extends ThreadChoice {
  readonly quiet: boolean;
}

export interface CalibrationClock {
  readonly now: () => number;
  readonly read: () => ProcessorTimes;
}

export const systemClock: CalibrationClock = { now: () => performance.now(), read: readProcessorTimes };

const stepsEach = 8;
const longestEachMs = 1500;
/** Part of a core that others may use in a measurement that is to be kept. */
export const quietUpTo = 0.25;

/**
 * Finds the number of threads with which a step is fastest, from 1 to `most`: 1, 2, 3, 4, 6, 8. Each is timed for
 * eight steps, fewer where they are slow; one that is plainly slower than the best so far is given up at once, since
 * with a busy core it may be fifty times slower.
 */
export async function calibrateThreads(
  step: TimedStep,
  most: number,
  { now, read }: CalibrationClock = systemClock,
): Promise<Calibration> {
  await step(1); // The first step reads the weights from disk.
  const [since, before] = [now(), read()];
  const narrowMs = await timeSteps(step, 1, Infinity);
  let best = { threads: 1, milliseconds: narrowMs };
  let wideMs = Infinity;
  for (const threads of [2, 3, 4, 6, 8].filter((count) => count <= most)) {
    const milliseconds = await timeSteps(step, threads, best.milliseconds);
    wideMs = Math.min(wideMs, milliseconds);
    if (milliseconds < best.milliseconds) best = { threads, milliseconds };
  }
  const others = othersBusy(before, read(), now() - since);
  return {
    threads: best.threads,
    narrowMs,
    wideMs: Number.isFinite(wideMs) ? wideMs : narrowMs,
    quiet: others <= quietUpTo,
  };
}

/** Median of the steps' times. */
async function timeSteps(step: TimedStep, threads: number, best: number): Promise<number> {
  const times: number[] = [];
  let total = 0;
  while (times.length < stepsEach && total < longestEachMs) {
    const milliseconds = await step(threads);
    times.push(milliseconds);
    total += milliseconds;
    if (milliseconds > best * 4 && times.length > 1) break;
  }
  times.sort((one, other) => one - other);
  return times[Math.floor(times.length / 2)] ?? Infinity;
}
