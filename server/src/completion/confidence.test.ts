import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isSure, type ScoredToken } from './confidence.js';

const tokens = (...pairs: readonly (readonly [string, number])[]): readonly ScoredToken[] =>
  pairs.map(([text, logprob]) => ({ text, logprob }));
const all = (some: readonly ScoredToken[]): string => some.map(({ text }) => text).join('');

test('the mean over all tokens of what is shown must reach what their number asks for', () => {
  const answer = tokens(['return', -0.2], [' x', -0.6], [';', -0.1]);
  expect(isSure([-9, -9, -0.3], answer, all(answer), 'return x;')).toBe(true);
  expect(isSure([-9, -9, -0.29], answer, all(answer), 'return x;')).toBe(false);
});

test('the last threshold holds for longer answers', () => {
  const answer = tokens(['a', -1], ['b', -1], ['c', -1]);
  expect(isSure([-2], answer, 'abc', 'abc')).toBe(true);
  expect(isSure([-0.5], answer, 'abc', 'abc')).toBe(false);
});

test('what the rules cut away counts neither for nor against it', () => {
  const doubtful = tokens(['good();', -0.1], ['\n', -0.1], ['junk', -8], ['junk', -8]);
  expect(isSure([-0.2], doubtful, all(doubtful), 'good();')).toBe(true);
  const sureEnd = tokens(['bad', -5], ['\n', -0.01], ['}', -0.01], ['\n', -0.01]);
  expect(isSure([-1], sureEnd, all(sureEnd), 'bad')).toBe(false);
});

test('a token that reaches over the end of what is shown counts', () => {
  const answer = tokens(['f(', -0.1], [')\n\n', -6]);
  expect(isSure([-1], answer, all(answer), 'f()')).toBe(false);
});

test('without thresholds or scores there is nothing against an answer', () => {
  expect(isSure([], tokens(['x', -50]), 'x', 'x')).toBe(true);
  expect(isSure([-0.1], [], 'x', 'x')).toBe(true);
});

test('whatever the texts, more confidence in each token never hides an answer', () => {
  const token = fc.tuple(
    fc.string({ minLength: 1, maxLength: 5 }),
    fc.double({ min: -20, max: 0, noNaN: true }),
  );
  const thresholds = fc.array(fc.double({ min: -5, max: 0, noNaN: true }), { maxLength: 6 });
  fc.assert(
    fc.property(fc.array(token, { maxLength: 12 }), thresholds, fc.nat(40), (pairs, confidence, length) => {
      const some = tokens(...pairs);
      const surer = some.map(({ text, logprob }) => ({ text, logprob: logprob / 2 }));
      const answer = all(some);
      const shown = answer.slice(0, length);
      if (isSure(confidence, some, answer, shown)) {
        expect(isSure(confidence, surer, answer, shown)).toBe(true);
      }
    }),
  );
});
