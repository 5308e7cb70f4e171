import { describe, expect, it } from 'vitest';
import { innermostSymbol } from './code-symbols.js';
import { fixInstruction, listProblems, shortened } from './code-wishes.js';
import { namesIn } from './name-suggestions.js';
import { testPlace } from './test-place.js';

describe('the code that is meant', () => {
  const method = { name: 'area', whole: true, firstLine: 2, lastLine: 4, children: [] };
  const field = { name: 'side', whole: false, firstLine: 1, lastLine: 1, children: [] };
  const outline = [{ name: 'Square', whole: true, firstLine: 0, lastLine: 5, children: [field, method] }];

  it('is the innermost function or class around the cursor', () => {
    expect(innermostSymbol(outline, 3)?.name).toBe('area');
    expect(innermostSymbol(outline, 1)?.name).toBe('Square');
    expect(innermostSymbol(outline, 9)).toBeUndefined();
  });
});

describe('the wish to fix problems', () => {
  it('names each with its line in the code that is shown', () => {
    const problems = [
      { message: "Cannot find\nname 'x'.", line: 12, source: 'ts 2304' },
      { message: 'Unused.', line: 14 },
    ];
    expect(fixInstruction(problems, 10)).toBe(
      "Fix these problems, with as small a change as possible:\n- line 3: Cannot find name 'x'. (ts 2304)\n- line 5: Unused.",
    );
  });

  it('is bounded, however much there is to say', () => {
    const problems = Array.from({ length: 500 }, (_, line) => ({ message: 'm'.repeat(10_000), line }));
    expect(listProblems(problems, 0).length).toBeLessThan(10_000);
    expect(shortened('a long\n message', 8)).toBe('a long…');
  });
});

describe('the place for tests', () => {
  it.each([
    ['add.ts', 'typescript', { kind: 'beside', name: 'add.test.ts' }],
    ['shapes.py', 'python', { kind: 'beside', name: 'test_shapes.py' }],
    ['main.go', 'go', { kind: 'beside', name: 'main_test.go' }],
    ['lib.rs', 'rust', { kind: 'below' }],
    ['add.test.ts', 'typescript', { kind: 'more' }],
    ['test_shapes.py', 'python', { kind: 'more' }],
    ['main_test.go', 'go', { kind: 'more' }],
    ['notes', 'plaintext', { kind: 'beside' }],
    ['latest.ts', 'typescript', { kind: 'beside', name: 'latest.test.ts' }],
  ])('of %s (%s) is as is usual there', (file, language, place) => {
    expect(testPlace(file, language)).toEqual(place);
  });
});

describe('suggested names', () => {
  it('are each given once, and never the one that is there', () => {
    expect(namesIn('["total", "sum", "total", "x"]', 'x')).toEqual(['total', 'sum']);
  });

  it('are taken from an answer that was cut off', () => {
    expect(namesIn('["total", "sum", "amou', 'x')).toEqual(['total', 'sum']);
  });

  it('are identifiers, whatever the model writes', () => {
    expect(namesIn('["a b", "1x", 5, "fine", "größe"]', 'x')).toEqual(['fine', 'größe']);
    expect(namesIn('Sure! Here are some names.', 'x')).toEqual([]);
  });
});
