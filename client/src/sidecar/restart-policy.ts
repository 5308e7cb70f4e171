/** When to start a sidecar again that has ended by itself. */
export interface Restart {
  /** Which try in a row this is, from 1. */
  readonly attempt: number;
  readonly delayMs: number;
}

/** Figures of {@link nextRestart}. */
export const restartLimits = {
  firstDelayMs: 500,
  longestDelayMs: 30_000,
  /** Tries in a row before it is left to the person. */
  attempts: 8,
  /** A sidecar that was ready for this long has recovered: the count begins anew. */
  recoveredMs: 60_000,
} as const;

/**
 * The next try after a failure: half a second, doubled each time, thirty seconds at most. Undefined once enough
 * have failed in a row.
 *
 * @param failures Tries in a row that have failed before this failure.
 * @param readyMs How long the sidecar was ready before it failed; 0 where it never was.
 */
export function nextRestart(failures: number, readyMs: number): Restart | undefined {
  const attempt = (readyMs >= restartLimits.recoveredMs ? 0 : failures) + 1;
  if (attempt > restartLimits.attempts) return undefined;
  const delayMs = Math.min(restartLimits.longestDelayMs, restartLimits.firstDelayMs * 2 ** (attempt - 1));
  return { attempt, delayMs };
}
