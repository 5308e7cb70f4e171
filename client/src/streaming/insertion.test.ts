import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { afterChange } from './insertion.js';

describe('the place of streamed text, after a change of somebody else', () => {
  const place = { start: 10, end: 15 };

  it('moves with changes before it', () => {
    expect(afterChange(place, { offset: 0, removed: 2, inserted: 5 })).toEqual({ start: 13, end: 18 });
    expect(afterChange(place, { offset: 10, removed: 0, inserted: 1 })).toEqual({ start: 11, end: 16 });
  });

  it('stays for changes after it', () => {
    expect(afterChange(place, { offset: 16, removed: 9, inserted: 1 })).toEqual(place);
  });

  it('is lost where the change touched it or typed at its end', () => {
    expect(afterChange(place, { offset: 12, removed: 0, inserted: 1 })).toBeUndefined();
    expect(afterChange(place, { offset: 8, removed: 3, inserted: 0 })).toBeUndefined();
    expect(afterChange(place, { offset: 15, removed: 0, inserted: 1 })).toBeUndefined();
  });

  it('holds the same text before and after, whatever the change', () => {
    const cases = fc.record({
      before: fc.string(),
      streamed: fc.string({ minLength: 1 }),
      after: fc.string(),
      at: fc.nat(60),
      removed: fc.nat(20),
      typed: fc.string(),
    });
    fc.assert(
      fc.property(cases, ({ before, streamed, after, at, removed, typed }) => {
        const text = before + streamed + after;
        const offset = Math.min(at, text.length);
        const cut = Math.min(removed, text.length - offset);
        const changed = text.slice(0, offset) + typed + text.slice(offset + cut);
        const old = { start: before.length, end: before.length + streamed.length };
        const now = afterChange(old, { offset, removed: cut, inserted: typed.length });
        if (now !== undefined) expect(changed.slice(now.start, now.end)).toBe(streamed);
      }),
    );
  });
});
