import { expect, it } from 'vitest';
import { fenced } from './fenced.js';

it('has a fence that no fence in the text can end', () => {
  expect(fenced('a')).toBe('```\na\n```');
  expect(fenced('a', 'typescript')).toBe('```typescript\na\n```');
  expect(fenced('````\nb\n````')).toBe('`````\n````\nb\n````\n`````');
});
