import type { Rule } from './rule.js';

/** Takes the code out of a Markdown fence, and stops where one ends: a habit of models that were tuned to converse. */
export const fences: Rule = {
  name: 'fences',
  apply: (completion, { place }) => {
    if (place.language === 'markdown') return completion;
    const inside = completion.replace(/^\s*```[\w+-]*\n/, '');
    const end = inside.search(/^\s*```/m);
    return end === -1 ? inside : inside.slice(0, end);
  },
};
