import fc from 'fast-check';
import { expect, test } from 'vitest';
import { inTurn, noteTurns } from './turns.js';

test('classes come in their order, and within one the order stays', () => {
  const jobs = (['background', undefined, 'interactive', 'chat', 'background', 'interactive'] as const).map(
    (name, index) => ({ class: name, passed: 0, index }),
  );
  expect(inTurn(jobs).map(({ index }) => index)).toEqual([2, 5, 1, 3, 0, 4]);
});

test('whatever else comes, nobody is passed by for ever', () => {
  const kind = fc.constantFrom('interactive' as const, 'chat' as const, 'background' as const, undefined);
  fc.assert(
    fc.property(fc.array(kind, { minLength: 1, maxLength: 12 }), (kinds) => {
      const jobs = kinds.map((name) => ({ class: name, passed: 0 }));
      for (let round = 0; round < 200; round += 1) {
        const [first] = inTurn(jobs);
        noteTurns(jobs, new Set(first === undefined ? [] : [first]));
        expect(Math.max(...jobs.map(({ passed }) => passed))).toBeLessThanOrEqual(8 + jobs.length);
      }
    }),
  );
});
