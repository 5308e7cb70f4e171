import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TextAssembler } from './text-assembler.js';

/** A vocabulary in which token n stands for the nth run of bytes. */
function assemble(pieces: readonly Uint8Array[]): { shown: readonly string[]; text: string } {
  const decoder = new TextDecoder();
  const bytesOf = (tokens: readonly number[]): Uint8Array =>
    Buffer.concat(tokens.map((token) => pieces[token] ?? new Uint8Array()));
  const assembler = new TextAssembler((tokens) => decoder.decode(bytesOf(tokens)), []);
  const shown = pieces.map((_, token) => assembler.push(token));
  shown.push(assembler.finish());
  return { shown, text: shown.join('') };
}

function cut(bytes: Uint8Array, sizes: readonly number[]): readonly Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let start = 0, index = 0; start < bytes.length; index += 1) {
    const size = sizes.length === 0 ? 1 : (sizes[index % sizes.length] ?? 1);
    pieces.push(bytes.subarray(start, start + size));
    start += size;
  }
  return pieces;
}

const sizes = fc.array(fc.integer({ min: 1, max: 7 }), { maxLength: 10 });
const wellFormed = fc.string({ unit: 'binary' }).filter((text) => !/\p{Surrogate}|\uFFFD|\uFEFF/u.test(text));

test('however the bytes of a text are cut into tokens, the text comes whole and never half a character', () => {
  fc.assert(
    fc.property(wellFormed, sizes, (text, wanted) => {
      const { shown, text: joined } = assemble(cut(Buffer.from(text), wanted));
      expect(joined).toBe(text);
      for (const piece of shown) expect(piece).not.toContain('\uFFFD');
    }),
  );
});

test('a long run of characters that every token cuts in two comes whole', () => {
  for (const length of [8, 40, 200]) {
    const text = `|${'𐀀'.repeat(length)}|`;
    expect(assemble(cut(Buffer.from(text), [2])).text).toBe(text);
  }
});

test('an unfinished character at the end is left out', () => {
  const bytes = Buffer.from('ab😀').subarray(0, -1);
  expect(assemble(cut(bytes, [1])).text).toBe('ab');
});

test('any bytes end, and what is valid among them comes through', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), wellFormed, sizes, (noise, text, wanted) => {
      const bytes = Buffer.concat([noise, Buffer.from(`|${text}|`)]);
      expect(assemble(cut(bytes, wanted)).text.endsWith(`|${text}|`)).toBe(true);
    }),
  );
});
