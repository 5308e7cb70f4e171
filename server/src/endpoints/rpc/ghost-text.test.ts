import { describe, expect, it } from 'vitest';
import { ghostText } from './ghost-text.js';

const at = (before: string, after = ''): { before: string; after: string } => ({ before, after });

describe('ghost text', () => {
  it('shows a completion as it is, without its blank end', () => {
    expect(ghostText('foo(1);\n  bar();\n\n', at('  '))).toBe('foo(1);\n  bar();');
  });

  it('is one line where text follows the cursor', () => {
    expect(ghostText('a, b\nmore', at('f(', ' => 1'))).toBe('a, b');
  });

  it('leaves out an end that already follows the cursor', () => {
    expect(ghostText('a, b)', at('f(', ')'))).toBe('a, b');
  });

  it('stops where a line repeats the one above', () => {
    expect(ghostText('x();\n  x();\n  x();', at('  '))).toBe('x();');
    expect(ghostText('\n  go();\n  go();', at('  go();'))).toBe('');
  });

  it('spans six lines at most', () => {
    expect(ghostText('1\n2\n3\n4\n5\n6\n7\n8', at(''))).toBe('1\n2\n3\n4\n5\n6');
  });

  it('stops before a line that follows the cursor already', () => {
    expect(ghostText('a + b;\n}\n\nfoo();', at('  return ', '\n\n}\n'))).toBe('a + b;');
  });

  it('is nothing where the next line says it already, or where only blanks are left', () => {
    expect(ghostText('return a;', at('  ', '\n  return a;\n}'))).toBe('');
    expect(ghostText(' \n ', at('x'))).toBe('');
  });
});
