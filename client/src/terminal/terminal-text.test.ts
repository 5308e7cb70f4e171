import { describe, expect, it } from 'vitest';
import { endOfOutput } from './terminal-text.js';

describe('the end of a terminal’s output', () => {
  it('is all of it where it is short, without the spaces at the ends of lines', () => {
    expect(endOfOutput('\r\n$ make   \r\nerror: no rule   \r\n\r\n')).toBe('$ make\nerror: no rule');
  });

  it('begins with a whole line where it was cut', () => {
    const output = Array.from({ length: 100 }, (_, index) => `line ${index}`).join('\n');
    const end = endOfOutput(output, 30);
    expect(end).toBe('line 96\nline 97\nline 98\nline 99'.slice(-end.length));
    expect(end.startsWith('line ')).toBe(true);
    expect(end.length).toBeLessThanOrEqual(30);
  });
});
