import { expect, test } from 'vitest';
import { DraftWorth } from './draft-worth.js';

/** Plays steps on a machine; gives which of them had guesses. */
function play(
  worth: DraftWorth,
  steps: number,
  costOf: (drafted: boolean) => { tokens: number; ms: number },
) {
  return Array.from({ length: steps }, () => {
    const drafted = worth.allows(1);
    const { tokens, ms } = costOf(drafted);
    worth.observe({ width: 1, drafted, tokens, milliseconds: ms });
    return drafted;
  });
}

const plain = { tokens: 1, ms: 10 };

test('where three tokens come in the time of two, it goes on guessing', () => {
  const steps = play(new DraftWorth(), 500, (drafted) => (drafted ? { tokens: 3, ms: 20 } : plain));
  // A few steps without, at the begin and now and then, to compare.
  expect(steps.filter((drafted) => !drafted).length).toBeLessThan(12);
  expect(steps.slice(0, 4)).toEqual([false, false, false, false]);
});

test('where guesses cost more than they bring, it stops after eight, and tries again ever less often', () => {
  const steps = play(new DraftWorth(), 2000, (drafted) => (drafted ? { tokens: 1, ms: 14 } : plain));
  expect(steps.slice(4, 13)).toEqual([true, true, true, true, true, true, true, true, false]);
  expect(steps.filter((drafted) => drafted).length).toBeLessThan(60);
  expect(steps.slice(1000).filter((drafted) => drafted).length).toBeLessThanOrEqual(16);
});

test('a first step that is slow does not make guesses that lose look good', () => {
  let count = 0;
  const steps = play(new DraftWorth(), 100, (drafted) => {
    count += 1;
    return drafted ? { tokens: 9, ms: 100 } : { tokens: 1, ms: count === 1 ? 40 : 10 };
  });
  expect(steps.slice(4, 13)).toEqual([true, true, true, true, true, true, true, true, false]);
});

test('what begins to pay is found out', () => {
  const worth = new DraftWorth();
  play(worth, 100, (drafted) => (drafted ? { tokens: 1, ms: 14 } : plain));
  const steps = play(worth, 400, (drafted) => (drafted ? { tokens: 4, ms: 14 } : plain));
  expect(steps.slice(-100).filter((drafted) => drafted).length).toBeGreaterThan(90);
});

test('each number of streams is judged by itself', () => {
  const worth = new DraftWorth();
  play(worth, 20, (drafted) => (drafted ? { tokens: 1, ms: 14 } : plain));
  expect(worth.allows(1)).toBe(false);
  for (let step = 0; step < 4; step += 1) {
    worth.observe({ width: 2, drafted: false, tokens: 2, milliseconds: 12 });
  }
  expect(worth.allows(2)).toBe(true);
});
