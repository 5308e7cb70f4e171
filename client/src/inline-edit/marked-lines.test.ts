import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  hunksOf,
  lineEdit,
  markChange,
  markUnfinished,
  settle,
  settleAll,
  takeOver,
  type MarkedLine,
} from './marked-lines.js';

const text = fc.array(fc.constantFrom('a', 'b', 'c', '', '  d'), { maxLength: 12 });
const textsOf = (lines: readonly MarkedLine[]): string[] => lines.map((line) => line.text);
const show = (lines: readonly MarkedLine[]): string[] =>
  lines.map((line) => ({ same: ' ', removed: '-', added: '+' })[line.mark] + line.text);

describe('a change as lines', () => {
  test('rejecting everything gives what was there, accepting everything what was written', () => {
    fc.assert(
      fc.property(text, text, (before, after) => {
        const marked = markChange(before, after);
        expect(textsOf(settleAll(marked, 'reject'))).toEqual(before);
        expect(textsOf(settleAll(marked, 'accept'))).toEqual(after);
      }),
    );
  });

  test('deciding hunk by hunk, in any order, comes to the same as deciding at once', () => {
    fc.assert(
      fc.property(
        text,
        text,
        fc.nat(),
        fc.constantFrom('accept' as const, 'reject' as const),
        (before, after, seed, verdict) => {
          let lines = markChange(before, after);
          for (let hunks = hunksOf(lines); hunks.length > 0; hunks = hunksOf(lines)) {
            const hunk = hunks[seed % hunks.length];
            if (hunk === undefined) return;
            lines = settle(lines, hunk, verdict);
          }
          expect(textsOf(lines)).toEqual(verdict === 'accept' ? after : before);
        },
      ),
    );
  });

  test('at no moment of the writing is an old line lost', () => {
    fc.assert(
      fc.property(text, text, (before, after) => {
        for (let count = 0; count <= after.length; count += 1) {
          const marked = markUnfinished(before, after.slice(0, count));
          expect(textsOf(settleAll(marked, 'reject'))).toEqual(before);
        }
      }),
    );
  });

  test('lines that the writer has not come to are not marked as removed', () => {
    const before = ['one', 'two', 'three', 'four'];
    expect(show(markUnfinished(before, ['one', 'zwei']))).toEqual([
      ' one',
      '+zwei',
      ' two',
      ' three',
      ' four',
    ]);
    expect(show(markUnfinished(before, ['one', 'zwei', 'three']))).toEqual([
      ' one',
      '-two',
      '+zwei',
      ' three',
      ' four',
    ]);
  });
});

test('the smallest edit leads from one text to the other', () => {
  fc.assert(
    fc.property(text, text, (from, to) => {
      const edit = lineEdit(from, to);
      if (edit === undefined) {
        expect(from).toEqual(to);
        return;
      }
      expect([...from.slice(0, edit.start), ...edit.lines, ...from.slice(edit.end)]).toEqual(to);
    }),
  );
});

test('what somebody else wrote is theirs, and the rest can still be decided', () => {
  const marked = markChange(['a', 'b', 'c'], ['a', 'x', 'c', 'y']);
  expect(show(marked)).toEqual([' a', '-b', '+x', ' c', '+y']);
  const taken = takeOver(marked, { start: 1, end: 2, lines: ['mine'] });
  expect(show(taken)).toEqual([' a', ' mine', '+x', ' c', '+y']);
  expect(textsOf(settleAll(taken, 'reject'))).toEqual(['a', 'mine', 'c']);
});
