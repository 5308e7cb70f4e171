import { lineSoFar } from '../place.js';
import type { Rule } from './rule.js';

/** Longest stretch of lines that is looked for again, in lines. */
const longestStretch = 4;
/** Lines above the cursor that are looked at. */
const linesAbove = 40;

/**
 * Drops what only says again what stands above: a line like the one before it, a stretch of lines that repeats the
 * stretch before it, and a piece of a line that comes over and over, which is how a small model gets stuck.
 */
export const repeatsAbove: Rule = {
  name: 'repeats_above',
  apply: (completion, { place }) => {
    const above = place.before.split('\n').slice(0, -1).slice(-linesAbove).map(trimmed);
    const line = lineSoFar(place);
    const said = above.filter((other) => other !== '');
    const kept: string[] = [];
    for (const [index, next] of completion.split('\n').entries()) {
      const whole = trimmed(index === 0 ? line + next : next);
      if (whole !== '') {
        said.push(whole);
        const stretch = repeatedStretch(said);
        if (stretch > 0) {
          // The stretch as a whole goes, and with it the part of it that has been kept.
          kept.splice(Math.max(0, kept.length - (stretch - 1)));
          break;
        }
      }
      const unstuck = withoutLoop(next);
      kept.push(unstuck);
      if (unstuck !== next) break;
    }
    return kept.join('\n');
  },
};

/** How many lines at the end repeat as many before them: the longest such stretch; 0: none. */
function repeatedStretch(said: readonly string[]): number {
  for (let length = longestStretch; length >= 1; length -= 1) {
    if (said.length < 2 * length) continue;
    const last = said.slice(-length);
    // A bracket alone, or two, says nothing twice.
    if (last.every((line) => !/\w/.test(line))) continue;
    const before = said.slice(-2 * length, -length);
    if (last.every((line, index) => line === before[index])) return length;
  }
  return 0;
}

/** The line up to where one piece begins to come four times in a row. */
function withoutLoop(line: string): string {
  const loop = /(\S.{0,22}?\w.{0,10}?)\1{3,}/.exec(line.slice(0, 300));
  return loop === null ? line : line.slice(0, loop.index).trimEnd();
}

function trimmed(line: string): string {
  return line.trim();
}
