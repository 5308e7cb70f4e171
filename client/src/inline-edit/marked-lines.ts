import { diffArrays } from 'diff';

/**
 * A change as lines: what was there and what is to be there, side by side in one list. The list is what the document
 * shows while a change is written and reviewed, so every step of it is a function from list to list.
 */
export interface MarkedLine {
  readonly mark: 'same' | 'removed' | 'added';
  readonly text: string;
}

/** Neighbouring lines that are not the same: indexes into the list, `end` exclusive. */
export interface Hunk {
  readonly start: number;
  readonly end: number;
}

/** How far ahead of what is written the old lines are searched for a match. */
const lookahead = 30;

/** `before` and `after` side by side. */
export function markChange(before: readonly string[], after: readonly string[]): readonly MarkedLine[] {
  return diffArrays([...before], [...after]).flatMap(({ value, added, removed }) => {
    const mark = added ? 'added' : removed ? 'removed' : 'same';
    return value.map((text): MarkedLine => ({ mark, text }));
  });
}

/**
 * `before` beside as much of its replacement as has been written. Old lines that the writer has not come to yet stay as they are.
 */
export function markUnfinished(before: readonly string[], written: readonly string[]): readonly MarkedLine[] {
  const near = before.slice(0, written.length + lookahead);
  const marked = markChange(near, written);
  const reached = marked.findLastIndex(({ mark }) => mark === 'same') + 1;
  const tail = marked.slice(reached);
  const pending = [
    ...tail.filter(({ mark }) => mark === 'removed').map(({ text }) => text),
    ...before.slice(near.length),
  ];
  return [
    ...marked.slice(0, reached),
    ...tail.filter(({ mark }) => mark === 'added'),
    ...pending.map((text): MarkedLine => ({ mark: 'same', text })),
  ];
}

/** The changes in a list, in order. */
export function hunksOf(lines: readonly MarkedLine[]): readonly Hunk[] {
  const hunks: Hunk[] = [];
  for (let index = 0; index < lines.length; index += 1) {
    if (lines[index]?.mark === 'same') continue;
    const start = index;
    while (index < lines.length && lines[index]?.mark !== 'same') index += 1;
    hunks.push({ start, end: index });
  }
  return hunks;
}

/** Decides one change: what is not wanted goes, what is wanted is as if it had always been there. */
export function settle(
  lines: readonly MarkedLine[],
  { start, end }: Hunk,
  verdict: 'accept' | 'reject',
): readonly MarkedLine[] {
  const loser = verdict === 'accept' ? 'removed' : 'added';
  return lines.flatMap((line, index) => {
    if (index < start || index >= end) return [line];
    return line.mark === loser ? [] : [{ mark: 'same' as const, text: line.text }];
  });
}

/** Decides every change that is left. */
export function settleAll(lines: readonly MarkedLine[], verdict: 'accept' | 'reject'): readonly MarkedLine[] {
  return settle(lines, { start: 0, end: lines.length }, verdict);
}

/** Lines `start` to `end`, exclusive, give way to `lines`. */
export interface LineEdit {
  readonly start: number;
  readonly end: number;
  readonly lines: readonly string[];
}

/** The smallest edit of whole lines from one text to another; undefined where they are equal. */
export function lineEdit(from: readonly string[], to: readonly string[]): LineEdit | undefined {
  let start = 0;
  while (start < from.length && start < to.length && from[start] === to[start]) start += 1;
  let tail = 0;
  const most = Math.min(from.length, to.length) - start;
  while (tail < most && from[from.length - 1 - tail] === to[to.length - 1 - tail]) tail += 1;
  const end = from.length - tail;
  if (start === end && start === to.length - tail) return undefined;
  return { start, end, lines: to.slice(start, to.length - tail) };
}

/**
 * Somebody else replaced lines `start` to `end`, exclusive, by `texts`: those are theirs now and decided.
 */
export function takeOver(
  lines: readonly MarkedLine[],
  { start, end, lines: texts }: LineEdit,
): readonly MarkedLine[] {
  const theirs = texts.map((text): MarkedLine => ({ mark: 'same', text }));
  return [...lines.slice(0, start), ...theirs, ...lines.slice(end)];
}
