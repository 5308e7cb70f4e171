import { describe, expect, it } from 'vitest';
import type { Range } from 'vscode-languageserver';
import { createDocuments, type DocumentListener, type Documents } from './documents.js';

/** What was told of documents, a line each. */
function listening(): { readonly told: string[]; readonly listener: DocumentListener } {
  const told: string[] = [];
  const listener: DocumentListener = {
    opened: (uri, language, text) => told.push(`opened ${uri} ${language} ${text.length}`),
    changed: (uri, offset, removed, inserted) =>
      told.push(`changed ${uri} ${offset} -${removed} +${inserted}`),
    closed: (uri) => told.push(`closed ${uri}`),
  };
  return { told, listener };
}

const opened = (uri: string, text: string): Parameters<Documents['opened']>[0] => ({
  textDocument: { uri, languageId: 'x', text },
});
const at = (line: number, from: number, to: number): Range => ({
  start: { line, character: from },
  end: { line, character: to },
});

describe('the documents of an editor', () => {
  it('follow several changes of one notice, each counted in what the one before it left', () => {
    const { told, listener } = listening();
    const documents = createDocuments(listener);
    documents.opened(opened('a', 'one\r\ntwo'));
    documents.changed({
      textDocument: { uri: 'a' },
      contentChanges: [
        { text: '\n', range: at(1, 3, 3) },
        { text: 'three', range: at(2, 0, 9) },
        { text: 'T', range: at(1, 1, 0) },
      ],
    });
    const text = documents.get('a');
    expect(typeof text === 'object' && text.slice(0, text.length)).toBe('one\r\nTwo\nthree');
    expect(told).toEqual([
      'opened a x 8',
      'changed a 8 -0 +\n',
      'changed a 9 -0 +three',
      'changed a 5 -1 +T',
    ]);
  });

  it('are told as what a change does in effect', () => {
    const { told, listener } = listening();
    const documents = createDocuments(listener);
    documents.opened(opened('a', 'const exp = 1;'));
    const change = (range: Range, text: string): void =>
      documents.changed({ textDocument: { uri: 'a' }, contentChanges: [{ range, text }] });
    change(at(0, 6, 9), 'export');
    change(at(0, 6, 12), 'ex');
    change(at(0, 0, 12), 'const eX = 1');
    change(at(0, 6, 8), 'eX');
    expect(told.slice(1)).toEqual(['changed a 9 -0 +ort', 'changed a 8 -4 +', 'changed a 7 -1 +X']);
  });

  it('are taken as they are told where the whole text is sent again', () => {
    const { told, listener } = listening();
    const documents = createDocuments(listener);
    documents.opened(opened('a', 'one'));
    documents.changed({ textDocument: { uri: 'a' }, contentChanges: [{ text: 'other' }] });
    const text = documents.get('a');
    expect(typeof text === 'object' && text.slice(0, text.length)).toBe('other');
    expect(told.at(-1)).toBe('changed a 1 -2 +ther');
  });

  it('are forgotten, those that were touched longest ago first, where they are too many or too much', () => {
    const { told, listener } = listening();
    const documents = createDocuments(listener, { documents: 2, length: 8, characters: 10 });
    for (const uri of ['a', 'b', 'c']) documents.opened(opened(uri, 'xxx'));
    expect(told.filter((line) => line.startsWith('closed'))).toEqual(['closed a']);
    documents.changed({ textDocument: { uri: 'b' }, contentChanges: [{ text: 'yyyyyyyy' }] });
    expect(told.at(-1)).toBe('closed c');
    expect(documents.get('c')).toBeUndefined();
    documents.changed({ textDocument: { uri: 'b' }, contentChanges: [{ text: 'zzzzzzzzz' }] });
    expect(documents.get('b')).toBe('too_large');
    expect(told.at(-1)).toBe('closed b');
    documents.opened(opened('b', 'short'));
    expect(typeof documents.get('b')).toBe('object');
  });
});
