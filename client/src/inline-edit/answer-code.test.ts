import { describe, expect, test } from 'vitest';
import { codeInAnswer, hasBlock, indentLike } from './answer-code.js';

describe('the code in an answer', () => {
  test.each([
    ['plain code', 'a\nb\n', ['a', 'b']],
    ['a fence', '```ts\na\nb\n```\n', ['a', 'b']],
    ['prose around a fence', 'Sure!\n```\na\n```\nThis does a.', ['a']],
    ['a fence that is never closed', '```\na\nb', ['a', 'b']],
    ['a longer fence around a shorter one', '````md\n```\nx\n```\n````', ['```', 'x', '```']],
    ['Windows line ends', 'a\r\nb', ['a', 'b']],
    ['nothing', '', []],
    ['a fence with nothing in it', '```\n```', []],
  ])('%s', (_name, answer, code) => {
    expect(codeInAnswer(answer, true)).toEqual(code);
  });

  test('a line that is being written does not count yet', () => {
    expect(codeInAnswer('a\nb', false)).toEqual(['a']);
    expect(codeInAnswer('``', false)).toEqual([]);
    expect(codeInAnswer('```ts\na\n``', false)).toEqual(['a']);
  });
});

test.each([
  ['at the margin', ['if x:', '  y'], ['    z'], ['    if x:', '      y']],
  ['where it belongs already', ['    a'], ['    b'], ['    a']],
  ['deeper than the original', ['      a'], ['    b'], ['      a']],
  ['with tabs where spaces were', ['\ta'], ['    b'], ['\ta']],
  ['with blank lines', ['a', '', 'b'], ['\t\tc'], ['\t\ta', '', '\t\tb']],
])('an answer %s', (_name, lines, original, expected) => {
  expect(indentLike(lines, original)).toEqual(expected);
});

test('an answer without a block is told from one with it', () => {
  expect(hasBlock('Use a product instead.\nIt is faster.')).toBe(false);
  expect(hasBlock('Here:\n```ts\na * b\n```')).toBe(true);
});
