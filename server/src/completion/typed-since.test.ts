import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mostBefore, placeAt, type Place } from './place.js';
import { restAfter, typedSince } from './typed-since.js';

function place(marked: string): Place {
  const offset = marked.indexOf('▌');
  const found = placeAt({ uri: 'a', language: 'x', text: marked.replace('▌', '') }, offset);
  if (typeof found === 'string') throw new Error(found);
  return found;
}

describe('what was typed since', () => {
  it.each([
    ['a▌b', 'axy▌b', { text: 'xy', closed: '' }],
    ['a▌b', 'a▌b', { text: '', closed: '' }],
    ['call▌\n', 'call(▌)\n', { text: '(', closed: ')' }],
    ['call▌\n', 'call([▌])\n', { text: '([', closed: '])' }],
    ['▌', '{\n▌}', { text: '{\n', closed: '}' }],
    ['f() ▌\n', 'f() {\n  ▌\n}\n', { text: '{\n  ', closed: '\n}' }],
    ['  f({▌});\n', '  f({\n    ▌\n  });\n', { text: '\n    ', closed: '\n  ' }],
  ])('from %j to %j', (origin, now, typed) => {
    expect(typedSince(place(origin), place(now))).toEqual(typed);
  });

  it.each([
    ['a▌b', '▌b'],
    ['a▌b', 'xa▌b'],
    ['a▌b', 'ax▌c'],
    ['call▌\n', 'call(▌]\n'],
    ['call();▌\nnext', 'call();\n▌\n\nnext'],
    ['▌', `${'x'.repeat(600)}▌`],
  ])('nothing that could be said from %j to another place', (origin, now) => {
    expect(typedSince(place(origin), place(now))).toBeUndefined();
  });

  it('is found in a document whose beginning is far away', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -40, max: 40 }),
        fc.string({ minLength: 1, maxLength: 30 }),
        (more, text) => {
          const head = 'let value = 1;\n'.repeat(Math.ceil(mostBefore / 15)).slice(0, mostBefore + more);
          const typed = text.replaceAll('▌', '').replaceAll('\0', '').replaceAll('\r', '');
          const since = typedSince(place(`${head}▌\n`), place(`${head}${typed}▌\n`));
          expect(since).toEqual({ text: typed, closed: '' });
        },
      ),
    );
  });
});

describe('what is left to show', () => {
  it.each([
    ['a + b', 'a ', '', '+ b'],
    ['(a, b);', '(', ')', 'a, b'],
    ['([1]);', '([', '])', '1'],
    ['{\n  go();\n}', '{', '}', '\n  go();\n'],
    ['{\n  go();\n}', '{\n  ', '\n}', 'go();'],
    ['\n  go();\n', '\n  ', '\n', 'go();'],
  ])('of %j after %j', (suggestion, text, closed, rest) => {
    expect(restAfter(suggestion, { text, closed })).toBe(rest);
  });

  it('is nothing where the typing went another way, or the bracket would stand in the wrong place', () => {
    expect(restAfter('a + b', { text: 'x', closed: '' })).toBeUndefined();
    expect(restAfter('(a) + more', { text: '(', closed: ')' })).toBeUndefined();
    expect(restAfter('(a', { text: '(', closed: ')' })).toBeUndefined();
  });
});
