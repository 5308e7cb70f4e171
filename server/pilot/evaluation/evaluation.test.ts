import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isSure } from '../../src/completion/confidence.js';
import type { Document } from '../corpus/document.js';
import { readOptions } from '../options.js';
import { calibrate, passes, type Scored } from './calibrate.js';
import { textOf } from './evaluate.js';
import { copiedAnswers, isLicenceText } from './memory.js';
import { editSimilarity, shareOf } from './metrics.js';
import { keepsGrammar } from './parses.js';
import { drawPlaces } from './places.js';
import { seeded } from './random.js';

const document = (text: string, more: Partial<Document> = {}): Document => ({
  package: 'a',
  version: '1.0.0',
  licence: 'MIT',
  language: 'ts',
  path: 'a.ts',
  text,
  ...more,
});

describe('metrics', () => {
  test('edit similarity is 1 for equal texts and counts changed characters', () => {
    expect(editSimilarity('', '')).toBe(1);
    expect(editSimilarity('abc', 'abc')).toBe(1);
    expect(editSimilarity('kitten', 'sitting')).toBeCloseTo(1 - 3 / 7);
    expect(editSimilarity('', 'abcd')).toBe(0);
  });

  test('it is symmetric and within 0 and 1', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 20 }), fc.string({ maxLength: 20 }), (a, b) => {
        const similarity = editSimilarity(a, b);
        expect(similarity).toBeCloseTo(editSimilarity(b, a));
        expect(similarity).toBeGreaterThanOrEqual(0);
        expect(similarity).toBeLessThanOrEqual(1);
      }),
    );
  });

  test('a share has a standard error, and of nothing there is none', () => {
    expect(shareOf([1, 2, 3, 4], (one) => one > 1)).toMatchObject({ of: 4, share: 0.75 });
    expect(shareOf([1, 2, 3, 4], (one) => one > 1).error).toBeCloseTo(0.2165);
    expect(shareOf([], () => true)).toEqual({ of: 0, share: undefined, error: undefined });
  });
});

describe('places', () => {
  const text = Array.from({ length: 40 }, (_, n) => `  const value${n} = first${n} + second${n};`).join('\n');

  test('are the same for the same seed, others for another, and none twice', () => {
    const draw = (seed: number) => drawPlaces([document(text)], { ts: 30 }, ['line', 'tail'], seed);
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
    expect(new Set(draw(1).map(({ before, after }) => `${before}|${after}`)).size).toBe(30);
  });

  test('what is wanted stands between both sides in the file, at the end of a line', () => {
    for (const { before, wanted, after, kind } of drawPlaces(
      [document(text)],
      { ts: 60 },
      ['line', 'tail', 'lines'],
      3,
    )) {
      expect(text).toContain(before + wanted + after);
      expect(after === '' || after.startsWith('\n')).toBe(true);
      expect(wanted.includes('\n')).toBe(kind === 'lines');
      if (kind === 'line') expect(before).toMatch(/(?:^|\n) {2}$/);
    }
  });
});

describe('thresholds', () => {
  const answers = (...rows: readonly (readonly [number, boolean])[]): readonly Scored[] =>
    rows.map(([meanLogprob, right]) => ({ tokens: 3, meanLogprob, right }));

  test('are where the answers above are right as often as asked', () => {
    const sure = Array.from({ length: 20 }, () => [-0.1, true] as const);
    const unsure = Array.from({ length: 30 }, () => [-2, false] as const);
    const thresholds = calibrate(answers(...sure, ...unsure), 0.5);
    expect(thresholds[2]).toBe(-0.1);
    expect(passes(thresholds, { tokens: 3, meanLogprob: -0.1, right: true })).toBe(true);
    expect(passes(thresholds, { tokens: 3, meanLogprob: -0.2, right: true })).toBe(false);
  });

  test('of a length with too few answers, or none right, are all but silence', () => {
    const few = calibrate(answers([-0.1, true]), 0.5);
    expect(passes(few, { tokens: 3, meanLogprob: -0.1, right: true })).toBe(false);
    expect(few.every((threshold) => threshold <= 0)).toBe(true);
  });

  test('fitted on one half, what passes of the other is right more often than not', () => {
    const shares = Array.from({ length: 20 }, (_, seed) => {
      const random = seeded(`calibration ${seed}`);
      const drawn = Array.from({ length: 2_000 }, (): Scored => {
        const meanLogprob = -3 * random();
        const tokens = 1 + Math.floor(random() * 20);
        return { tokens, meanLogprob, right: random() < Math.exp(2 * meanLogprob) };
      });
      const thresholds = calibrate(drawn.slice(0, 1_000), 0.5);
      const spoken = drawn.slice(1_000).filter((one) => passes(thresholds, one));
      expect(spoken.length).toBeGreaterThan(50);
      return spoken.filter(({ right }) => right).length / spoken.length;
    });
    expect(shares.reduce((sum, share) => sum + share, 0) / shares.length).toBeGreaterThan(0.5);
  });

  test('mean the same to the product', () => {
    const list = fc.array(fc.double({ min: -4, max: 0, noNaN: true }), { maxLength: 5 });
    fc.assert(
      fc.property(
        list,
        fc.integer({ min: 1, max: 9 }),
        fc.double({ min: -4, max: 0, noNaN: true }),
        (least, n, score) => {
          const tokens = Array.from({ length: n }, () => ({ text: 'x', logprob: score }));
          const text = 'x'.repeat(n);
          const meanLogprob = tokens.reduce((sum, { logprob }) => sum + logprob, 0) / n;
          expect(isSure(least, tokens, text, text)).toBe(
            passes(least, { tokens: n, meanLogprob, right: true }),
          );
        },
      ),
    );
  });
});

describe('memory', () => {
  const song = Array.from({ length: 30 }, (_, n) => `word${n}`).join(' ');

  test('a run from one package is found in any layout, one that several have is boilerplate', () => {
    const inOne = [document(`first line\n${song}`), document('other words', { package: 'b' })];
    expect(copiedAnswers([`before ${song.replaceAll(' ', '\n  ')} after`, 'nothing'], inOne, 10)).toBe(1);
    expect(copiedAnswers([song.split(' ').slice(0, 9).join(' ')], inOne, 10)).toBe(0);
    expect(copiedAnswers([song], [...inOne, document(song, { package: 'b' })], 10)).toBe(0);
    expect(copiedAnswers([song], [...inOne, document(song)], 10)).toBe(1);
  });

  test('finds what a plain search finds', () => {
    const words = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 12 });
    fc.assert(
      fc.property(words, words, fc.integer({ min: 1, max: 4 }), (answer, text, length) => {
        const holds = answer.some((_, at) => {
          const run = answer.slice(at, at + length);
          return run.length === length && ` ${text.join(' ')} `.includes(` ${run.join(' ')} `);
        });
        expect(copiedAnswers([answer.join(' ')], [document(text.join(' '))], length)).toBe(holds ? 1 : 0);
      }),
    );
  });

  test('a licence is known by its words', () => {
    expect(isLicenceText('// Copyright (c) 2024 Someone')).toBe(true);
    expect(isLicenceText('const license = readLicense();')).toBe(false);
  });
});

test('a suggestion keeps the grammar if it makes no more errors than what stood there', () => {
  expect(keepsGrammar('function f() {\n  ', 'return 1;', 'return 2;', '\n}\n')).toBe(true);
  expect(keepsGrammar('function f() {\n  ', 'return (1;', 'return 2;', '\n}\n')).toBe(false);
  expect(keepsGrammar('cut off) {\n  ', 'a();', 'b();', '\n}\n')).toBe(true);
});

test('the text to measure on is bounded, whole files first', () => {
  expect(textOf([document('aaaa'), document('b', { language: 'js' }), document('cccc')], 'ts', 6)).toEqual([
    'aaaa',
    'cc',
  ]);
});

describe('the command line', () => {
  test('knows its steps and its bounds', () => {
    const { step, options } = readOptions(['evaluate', '--work', '/w', '--places', '60'], ['evaluate']);
    expect([step, options.work, options.size.lines, options.size.blocks]).toEqual(['evaluate', '/w', 60, 10]);
    const train = (...args: readonly string[]) => readOptions(['train', ...args], ['train']).options;
    expect(train()).toMatchObject({ vocabulary: 4096, steps: 20_000, tokens: 4096, rate: 0.004 });
    expect(train('--init', 'a.gguf', '--steps', '5')).toMatchObject({ steps: 5, rate: 0.0015 });
    expect(train('--shortened', '--tokens', '2048')).toMatchObject({ steps: 20, tokens: 2048 });
    expect(readOptions(['ablate'], ['ablate']).options.steps).toBe(200);
    expect(() => readOptions([], ['evaluate'])).toThrow(/Which step/);
    expect(() => readOptions(['evaluate', '--seed', 'x'], ['evaluate'])).toThrow(/--seed is a whole number/);
    expect(() => readOptions(['evaluate', '--until', '25:00'], ['evaluate'])).toThrow(/time of day/);
    expect(() => readOptions(['evaluate', '--order', 'x'], ['evaluate'])).toThrow(/--order/);
  });
});
