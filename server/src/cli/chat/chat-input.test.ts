import { describe, expect, test } from 'vitest';
import { LineJoiner, readChatInput } from './chat-input.js';

describe('what is typed in a chat', () => {
  test.each([
    ['  ', { kind: 'nothing' }],
    ['hello', { kind: 'say', text: 'hello' }],
    ['/usr/bin/env is a path', { kind: 'say', text: '/usr/bin/env is a path' }],
    ['// a comment', { kind: 'say', text: '// a comment' }],
    ['/help', { kind: 'help' }],
    ['/clear ', { kind: 'clear' }],
    ['/bye', { kind: 'leave' }],
    ['/system Be brief.', { kind: 'system', text: 'Be brief.' }],
    ['/system', { kind: 'system', text: undefined }],
    ['/save talk.json', { kind: 'save', file: 'talk.json' }],
    ['/save', { kind: 'help' }],
    ['/nope', { kind: 'unknown', command: 'nope' }],
  ])('%j', (text, expected) => {
    expect(readChatInput(text)).toEqual(expected);
  });

  test('a line that ends with a backslash goes on in the next one', () => {
    const joiner = new LineJoiner();
    expect(joiner.push('one\\')).toBeUndefined();
    expect(joiner.isOpen).toBe(true);
    expect(joiner.push('two')).toBe('one\ntwo');
    expect(joiner.isOpen).toBe(false);
  });

  test('three quotes begin and end a text of many lines, blank ones too', () => {
    const joiner = new LineJoiner();
    const lines = ['"""', 'one\\', '', 'two'].map((line) => joiner.push(line));
    expect(lines).toEqual([undefined, undefined, undefined, undefined]);
    expect(joiner.push('"""')).toBe('one\\\n\ntwo');
    expect(joiner.push('alone')).toBe('alone');
  });
});
