import { describe, expect, it } from 'vitest';
import { passOver, type PassedOver } from './passed-over.js';

/** Reads a message past in pieces, as a socket gives it. */
function read(message: object, piece: number): PassedOver {
  const bytes = Buffer.from(JSON.stringify(message));
  const passed = passOver(bytes.length);
  for (let at = 0; at < bytes.length; at += piece) {
    expect(passed.take(bytes.subarray(at, at + piece))).toHaveLength(0);
  }
  return passed;
}

const text = '"uri": "file:///other", "id": 1 '.repeat(2000);
const textDocument = { uri: 'file:///a "b".ts', version: 2 };

describe('a message that is read past', () => {
  it.each([
    ['opened', { method: 'textDocument/didOpen', params: { textDocument: { ...textDocument, text } } }],
    [
      'opened, the text first',
      { params: { textDocument: { text, ...textDocument } }, method: 'textDocument/didOpen' },
    ],
    ['changed', { method: 'textDocument/didChange', params: { contentChanges: [{ text }], textDocument } }],
    [
      'changed, the method last',
      { params: { contentChanges: [{ text }], textDocument }, method: 'textDocument/didChange' },
    ],
  ])('says which document was %s, in pieces of any size', (_what, message) => {
    for (const piece of [1000, 4096, 1_000_000]) {
      const passed = read({ jsonrpc: '2.0', ...message }, piece);
      expect(passed.kind()).toBe('document');
      expect(passed.missing()).toBe(0);
      expect(passed.uri()).toBe(textDocument.uri);
    }
  });

  it.each([
    ['a request', { id: 1, method: 'textDocument/didOpen', params: { textDocument } }],
    ['a notice of another kind', { method: 'x', params: { text } }],
    [
      'what no more than looks like one inside a text',
      { method: 'x', params: { text: '"method":"textDocument/didOpen"' } },
    ],
  ])('is refused where it is %s', (_what, message) => {
    expect(read({ jsonrpc: '2.0', ...message, rest: text }, 4096).kind()).toBe('other');
  });

  it('leaves what comes after it, and is undecided before enough has come', () => {
    const passed = passOver(10);
    expect(passed.take(Buffer.from('{"jsonrpc":"2.0"}')).toString()).toBe(':"2.0"}');
    expect(passed.kind()).toBe('undecided');
    expect(passed.uri()).toBeUndefined();
  });
});
