import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { placeAt, type Place } from './place.js';
import { cutWindow, divideRoom } from './window.js';

function placeOf(text: string, offset: number): Place {
  const place = placeAt({ uri: 'a', language: 'x', text }, offset);
  if (typeof place === 'string') throw new Error(place);
  return place;
}

describe('the room of a prompt', () => {
  it('keeps within the context what it divides', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 16, max: 200_000 }),
        fc.integer({ min: 1, max: 256 }),
        fc.double({ min: 1, max: 6, noNaN: true }),
        fc.boolean(),
        (context, answer, units, infill) => {
          const { before, after, related } = divideRoom(context, answer, units, infill);
          expect(before + after + related).toBeLessThanOrEqual(Math.max(0, context - answer) * units + 1);
          expect(after > 0 && !infill).toBe(false);
        },
      ),
    );
  });

  it('leaves other files out where the context is small', () => {
    expect(divideRoom(1024, 48, 3, true).related).toBe(0);
    expect(divideRoom(8192, 48, 3, true).related).toBeGreaterThan(1000);
  });
});

describe('the window around a cursor', () => {
  const room = { before: 3000, after: 1000, related: 0 };
  const lines = Array.from({ length: 2000 }, (_unused, index) => `line ${index} of the text\n`).join('');

  it('keeps the nearest text of both sides, and gives one side what the other does not need', () => {
    const whole = cutWindow(placeOf('abcdef', 3), room);
    expect(whole).toEqual({ before: 'abc', after: 'def' });
    const end = cutWindow(placeOf(lines, lines.length), room);
    expect(end.before.length).toBeGreaterThan(2800);
    expect(end.after).toBe('');
    expect(cutWindow(placeOf(lines, 0), room).after.length).toBeGreaterThan(2800);
  });

  it('begins at a line, and stands still while one types', () => {
    const middle = 20_004;
    const first = cutWindow(placeOf(lines, middle), room);
    expect(first.before).toMatch(/^line \d+ of/);
    let moved = 0;
    for (let typed = 1; typed <= 200; typed += 1) {
      const text = lines.slice(0, middle) + 'x'.repeat(typed) + lines.slice(middle);
      if (!cutWindow(placeOf(text, middle + typed), room).before.startsWith(first.before)) moved += 1;
    }
    expect(moved).toBe(0);
  });

  it('never parts a character', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', minLength: 50 }),
        fc.integer({ min: 4, max: 40 }),
        (text, size) => {
          const plain = text.replaceAll('\0', '');
          const place = placeAt({ uri: 'a', language: 'x', text: plain }, Math.floor(plain.length / 2));
          if (typeof place === 'string') return;
          const { before, after } = cutWindow(place, { before: size, after: size, related: 0 });
          expect(before).not.toMatch(/^[\uDC00-\uDFFF]/);
          expect(after).not.toMatch(/[\uD800-\uDBFF]$/);
        },
      ),
    );
  });
});
