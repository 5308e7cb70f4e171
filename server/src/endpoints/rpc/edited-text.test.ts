import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TextDocument } from 'vscode-languageserver-textdocument';
import { createEditedText } from './edited-text.js';

/** Text with line ends of every kind, at every place; long stretches make it more than one piece. */
const text = fc
  .array(
    fc.oneof(
      fc.constantFrom('\r', '\n', '\r\n', 'a', '\u{1F525}', ''),
      fc.constantFrom('x', 'line\n', '\r', '\r\n').map((one) => one.repeat(9000)),
    ),
    { maxLength: 8 },
  )
  .map((parts) => parts.join(''));
const place = fc.record({ line: fc.nat(40_000), character: fc.nat(12) });

describe('a text that is edited in pieces', () => {
  it('is the text that another implementation of the protocol has, whatever is edited', () => {
    fc.assert(
      fc.property(
        text,
        fc.array(fc.record({ from: fc.nat(), to: fc.nat(), text }), { maxLength: 8 }),
        fc.array(place, { maxLength: 8 }),
        (initial, edits, places) => {
          const document = TextDocument.create('test:/a', 'plaintext', 1, initial);
          const edited = createEditedText(initial);
          for (const edit of edits) {
            const [one, other] = [edit.from % (edited.length + 1), edit.to % (edited.length + 1)];
            const [from, to] = [Math.min(one, other), Math.max(one, other)];
            // By offsets, as a range cannot begin inside of a line end.
            const whole = edited.slice(0, edited.length);
            edited.replace(from, to, edit.text);
            TextDocument.update(document, [{ text: whole.slice(0, from) + edit.text + whole.slice(to) }], 2);
          }
          expect(edited.slice(0, edited.length)).toBe(document.getText());
          expect(edited.length).toBe(document.getText().length);
          for (const position of [...places, { line: document.lineCount, character: 0 }]) {
            expect(edited.offsetAt(position)).toBe(document.offsetAt(position));
            const near = { ...position, line: position.line % document.lineCount };
            expect(edited.offsetAt(near)).toBe(document.offsetAt(near));
          }
          const [from, to] = [Math.floor(edited.length / 3), Math.floor(edited.length / 2)];
          expect(edited.slice(from, to)).toBe(document.getText().slice(from, to));
        },
      ),
      { numRuns: 200 },
    );
  });
});
