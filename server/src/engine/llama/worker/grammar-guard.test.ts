import { expect, test } from 'vitest';
import { deepestGroups, nestsWithinBounds } from './grammar-guard.js';

const nested = (depth: number): string => `root ::= ${'('.repeat(depth)}"a"${')'.repeat(depth)}`;

test('groups may nest so deep and no deeper', () => {
  expect(nestsWithinBounds(nested(deepestGroups))).toBe(true);
  expect(nestsWithinBounds(nested(deepestGroups + 1))).toBe(false);
});

test('parentheses in texts, classes and comments do not count', () => {
  const many = '('.repeat(500);
  expect(nestsWithinBounds(`root ::= "${many}" [${many}] # ${many}`)).toBe(true);
});

test('tokens in angle brackets hide nothing', () => {
  expect(nestsWithinBounds(`root ::= <"> ${'('.repeat(500)} <">`)).toBe(false);
});
