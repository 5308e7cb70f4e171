import { describe, expect, it } from 'vitest';
import { alongShown, type CursorNow, type ShownSuggestion } from './shown-suggestion.js';

/** What is shown at `▌`. */
function shownAt(marked: string, ...texts: string[]): ShownSuggestion {
  return { uri: 'a', offset: marked.indexOf('▌'), length: marked.length - 1, texts };
}

function now(marked: string, uri = 'a'): CursorNow {
  const offset = marked.indexOf('▌');
  const text = marked.replace('▌', '');
  return { uri, offset, length: text.length, textSince: (from) => text.slice(from, offset) };
}

describe('what is shown', () => {
  const shown = shownAt('a = ▌;', 'b + c', 'b - c', 'x');

  it('holds where the cursor is, and while one types along it: alternatives that do not go with it are dropped', () => {
    expect(alongShown(shown, now('a = ▌;'))?.texts).toEqual(['b + c', 'b - c', 'x']);
    expect(alongShown(shown, now('a = b ▌;'))).toEqual(shownAt('a = b ▌;', '+ c', '- c'));
  });

  it.each([
    ['something else was typed', 'a = y▌;'],
    ['something was deleted', 'a =▌;'],
    ['the document has changed elsewhere', 'a = b▌;;'],
    ['all of it was typed or accepted', 'a = b + c▌;'],
  ])('holds no more where %s', (_what, marked) => {
    expect(alongShown(shown, now(marked))).toBeUndefined();
  });

  it('holds in its own document only', () => {
    expect(alongShown(shown, now('a = ▌;', 'b'))).toBeUndefined();
  });

  it('takes line ends of any kind for one', () => {
    const block = shownAt('{▌', '\n  go();\n}');
    expect(alongShown(block, now('{\r\n  ▌'))?.texts).toEqual(['go();\n}']);
  });
});
