import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fencedCode } from './fenced-code.js';

/** What comes of an answer that arrives in `pieces`. */
function codeOf(pieces: readonly string[]): string {
  const code = fencedCode();
  return pieces.map((piece) => code.push(piece)).join('') + code.end();
}

describe('the code of an answer', () => {
  it('is what stands in its first fenced block', () => {
    const answer = 'Here you are:\n\n```ts\nconst a = 1;\nconst b = 2;\n```\n\nThat is all.\n```\nno\n```\n';
    expect(codeOf([answer])).toBe('const a = 1;\nconst b = 2;\n');
  });

  it('is all of it where there is no fence', () => {
    expect(codeOf(['const a', ' = 1;\n', 'b();'])).toBe('const a = 1;\nb();');
  });

  it('holds shorter fences', () => {
    expect(codeOf(['````md\n```\ninner\n```\n````\n'])).toBe('```\ninner\n```\n');
  });

  it('is given line by line while it is written', () => {
    const code = fencedCode();
    expect(code.push('```ts\nconst a = 1;')).toBe('');
    expect(code.push('\nconst')).toBe('const a = 1;\n');
    expect(code.end()).toBe('const');
  });

  it('does not depend on how it is cut into pieces', () => {
    const texts = fc.array(fc.constantFrom('```', '````', '\n', 'a', ' ', 'ts'), { maxLength: 30 });
    fc.assert(
      fc.property(texts, (pieces) => {
        expect(codeOf(pieces)).toBe(codeOf(Array.from(pieces.join(''))));
      }),
    );
  });
});
