import { plainLines } from '../place.js';
import type { Rule } from './rule.js';

/** Keeps as many lines as the position allows: one in the middle of a line, several where a block begins. */
export const lines: Rule = {
  name: 'lines',
  apply: (completion, { shape }) => {
    const most = shape.kind === 'line' ? 1 : shape.lines;
    return plainLines(completion).split('\n').slice(0, most).join('\n');
  },
};
