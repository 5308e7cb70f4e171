import fc from 'fast-check';
import { expect, test } from 'vitest';
import { markChange } from './marked-lines.js';
import { followChange, type DocumentChange, type Region } from './region-change.js';

const region: Region = { start: 2, lines: markChange(['b', 'c'], ['b', 'x']) };
const change = (text: string, from: readonly [number, number], to = from): DocumentChange => ({
  startLine: from[0],
  startCharacter: from[1],
  endLine: to[0],
  endCharacter: to[1],
  text,
});

test.each([
  ['a line above', change('new\n', [0, 0]), 3],
  ['a line right above', change('new\n', [2, 0]), 3],
  ['the end of the line above', change('!', [1, 3]), 2],
  ['the line above going', change('', [1, 0], [2, 0]), 1],
  ['a line below', change('new\n', [5, 0]), 2],
])('%s moves the region and is not part of it', (_name, one, start) => {
  const effect = followChange(region, one);
  expect(effect).toEqual({ kind: 'elsewhere', region: { start, lines: region.lines } });
});

test('what is typed inside is theirs', () => {
  const effect = followChange(region, change('!', [3, 1]));
  expect(effect).toMatchObject({ kind: 'inside', region: { start: 2 } });
  if (effect.kind !== 'inside') return;
  expect(effect.region.lines.map(({ mark, text }) => `${mark} ${text}`)).toEqual([
    'same b',
    'same c!',
    'added x',
  ]);
});

test.each([
  ['over the beginning', change('', [1, 2], [2, 0])],
  ['over the end', change('', [4, 0], [5, 1])],
])('a change %s ends the region', (_name, one) => {
  expect(followChange(region, one)).toEqual({ kind: 'across' });
});

test('a region that survives a change is still what the document says', () => {
  const line = fc.constantFrom('', 'a', 'bc');
  const position = fc.tuple(fc.nat({ max: 7 }), fc.nat({ max: 2 }));
  fc.assert(
    fc.property(
      fc.array(line, { minLength: 8, maxLength: 8 }),
      fc.tuple(position, position),
      fc.constantFrom('', 'z', '\n', 'q\n', '\nr', 'a\n\nb'),
      (texts, [one, other], inserted) => {
        const clamp = ([at, character]: readonly [number, number]): [number, number] => [
          at,
          Math.min(character, (texts[at] ?? '').length),
        ];
        const order = [clamp(one), clamp(other)].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
        const [from, to] = order as [[number, number], [number, number]];
        const before: Region = {
          start: 3,
          lines: texts.slice(3, 6).map((text) => ({ mark: 'same', text })),
        };
        const whole =
          [...texts.slice(0, from[0]), (texts[from[0]] ?? '').slice(0, from[1])].join('\n') +
          inserted +
          [(texts[to[0]] ?? '').slice(to[1]), ...texts.slice(to[0] + 1)].join('\n');
        const effect = followChange(before, change(inserted, from, to));
        if (effect.kind === 'across') return;
        const { start, lines } = effect.region;
        expect(whole.split('\n').slice(start, start + lines.length)).toEqual(lines.map(({ text }) => text));
      },
    ),
  );
});
