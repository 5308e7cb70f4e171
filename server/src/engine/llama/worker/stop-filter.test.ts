import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StopFilter } from './stop-filter.js';

/** Pushes all pieces; gives all that was shown and whether it stopped. */
function run(stops: readonly string[], pieces: readonly string[]): { text: string; stopped: boolean } {
  const filter = new StopFilter(stops);
  let shown = '';
  for (const piece of pieces) {
    const { text, stopped } = filter.push(piece);
    shown += text;
    if (stopped) return { text: shown, stopped };
  }
  return { text: shown + filter.finish(), stopped: false };
}

test('a stop text across pieces is found and not shown', () => {
  expect(run(['END'], ['abE', 'N', 'Dcd'])).toEqual({ text: 'ab', stopped: true });
});

test('what only looked like one comes later', () => {
  const filter = new StopFilter(['END']);
  expect(filter.push('abEN')).toEqual({ text: 'ab', stopped: false });
  expect(filter.push('x')).toEqual({ text: 'ENx', stopped: false });
});

test('the one that is complete first counts', () => {
  expect(run(['abcd', 'bc'], ['abcd'])).toEqual({ text: 'a', stopped: true });
});

test('lone halves of surrogate pairs never split a character', () => {
  expect(run(['\uDE00'], ['a😀b'])).toEqual({ text: 'a😀b', stopped: false });
});

const letters = fc.constantFrom('a', 'b', 'ä', '😀');
const text = fc.array(letters, { maxLength: 40 }).map((all) => all.join(''));
const stops = fc.array(
  fc.array(letters, { minLength: 1, maxLength: 4 }).map((all) => all.join('')),
  { maxLength: 4 },
);

test('however the text is cut, the outcome is that of one character at a time', () => {
  fc.assert(
    fc.property(text, stops, fc.array(fc.nat(40), { maxLength: 8 }), (whole, wanted, cuts) => {
      const borders = [
        0,
        ...cuts.filter((cut) => cut < whole.length).toSorted((a, b) => a - b),
        whole.length,
      ];
      const pieces = borders.slice(1).map((end, index) => whole.slice(borders[index], end));
      expect(run(wanted, pieces)).toEqual(run(wanted, Array.from(whole)));
    }),
  );
});

test('what is shown is the text up to the first stop text, or all of it', () => {
  fc.assert(
    fc.property(text, stops, (whole, wanted) => {
      const { text: shown, stopped } = run(wanted, Array.from(whole));
      expect(stopped).toBe(wanted.some((stop) => whole.includes(stop)));
      expect(whole.startsWith(shown)).toBe(true);
      if (!stopped) expect(shown).toBe(whole);
      for (const stop of wanted) expect(shown.includes(stop)).toBe(false);
    }),
  );
});
