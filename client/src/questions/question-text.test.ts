import { expect, test } from 'vitest';
import { downloadQuestion, toolQuestion } from './question-text.js';

test('a tool is named, with what it is for', () => {
  const { message, yes, no } = toolQuestion({ tool: 'deploy', summary: 'to the test machine' });
  expect(message).toBe('A program on this machine asks to run “deploy”: to the test machine');
  expect([yes, no]).toEqual(['Allow Once', 'Deny']);
  expect(toolQuestion({ tool: 'deploy' }).message).toMatch(/“deploy”$/u);
});

test('a model is named with its size', () => {
  expect(downloadQuestion({ model: 'coder', bytes: 1_200_000_000 }).message).toContain(
    'coder (about 1.2 GB)',
  );
});

test('what another program says makes no link, no line and no other direction', () => {
  const { message } = toolQuestion({ tool: '[safe](command:evil)\n\u202Egpj', summary: 'x'.repeat(5000) });
  expect(message).not.toMatch(/[\n[\]()\u202E]/u);
  expect(message.length).toBeLessThan(1000);
});
