import type { JobClass } from '@hearth/protocol';

/** What decides whose turn it is. */
export interface Turned {
  /** Absent: `chat`. */
  readonly class: JobClass | undefined;
  /** How often others had their turn before it since it last had one. */
  passed: number;
}

const ranks: Readonly<Record<JobClass, number>> = { interactive: 0, chat: 1, background: 2 };
/** Passed by so often, it comes before all that were so less often, whatever their class. */
const patience = 8;

/** `jobs` in the order in which they have their turn: by class, and within one as they stand. */
export function inTurn<Job extends Turned>(jobs: readonly Job[]): readonly Job[] {
  const rankOf = (job: Job): number => (job.passed >= patience ? -job.passed : ranks[job.class ?? 'chat']);
  return jobs.toSorted((one, other) => rankOf(one) - rankOf(other));
}

/** Notes who of `jobs` has had a turn. */
export function noteTurns<Job extends Turned>(jobs: readonly Job[], served: ReadonlySet<Job>): void {
  for (const job of jobs) job.passed = served.has(job) ? 0 : job.passed + 1;
}
