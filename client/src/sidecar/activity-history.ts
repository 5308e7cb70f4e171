import type { ActivityRecord } from '@hearth/protocol';

/** Most records kept. */
export const mostActivity = 500;

/**
 * `records` with `more` after them, the newest {@link mostActivity} kept.
 *
 * @param replayed Whether `more` is what a new connection tells of the past, so that it may repeat what is known.
 */
export function appendActivity(
  records: readonly ActivityRecord[],
  more: readonly ActivityRecord[],
  replayed: boolean,
): readonly ActivityRecord[] {
  const latest = records.at(-1)?.t;
  const fresh = replayed && latest !== undefined ? more.filter(({ t }) => t > latest) : more;
  return [...records, ...fresh].slice(-mostActivity);
}
