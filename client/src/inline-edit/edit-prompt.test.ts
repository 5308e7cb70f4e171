import { expect, test } from 'vitest';
import { editRequest, type EditOrder } from './edit-prompt.js';

const model = {
  id: 'm',
  displayName: 'M',
  contextSize: 2048,
  sizeBytes: 1,
  infill: true,
};
const order: EditOrder = {
  language: 'typescript',
  before: 'const a = 1;\n'.repeat(1000),
  after: 'const z = 1;\n'.repeat(1000),
  code: 'const b = 2;',
  earlier: [],
  instruction: 'Make it 3',
};

test('what surrounds the code is cut to the room that there is, nearest first', () => {
  const request = editRequest(order, model);
  const content = request?.messages[1]?.content ?? '';
  expect(content).toContain('The code to change:\n```\nconst b = 2;\n```\nInstruction: Make it 3');
  expect(content).toContain('const a = 1;\n\n```');
  expect(content.length / 3 + (request?.max_tokens ?? 0)).toBeLessThan(2048);
});

test('code that the model could not write anew is refused', () => {
  expect(editRequest({ ...order, code: 'x'.repeat(4000) }, model)).toBeUndefined();
});

test('a fence in the code does not end the fence around it', () => {
  const content = editRequest({ ...order, code: '```\nx\n```' }, model)?.messages[1]?.content;
  expect(content).toContain('````\n```\nx\n```\n````');
});
