import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RequestError } from '../../request-error.js';
import type { AnswerPlan } from './answer-plan.js';
import { plainAnswer } from './answer-plan.js';
import { AnswerReader } from './answer-reader.js';
import type { AnswerStep, Redirect } from './answer-reader.js';
import { hermes, llama3, mistral, mistralArgs } from './dialect.js';
import type { Dialect } from './dialect.js';

/** Tokens are the texts that a test gives; what is put in is one token a character. */
class Tokens {
  readonly #texts: string[] = [];

  of(text: string): number {
    return this.#texts.push(text) - 1;
  }

  text(tokens: readonly number[]): string {
    return tokens.map((token) => this.#texts[token] ?? '').join('');
  }
}

interface Read {
  readonly parts: readonly string[];
  readonly stopped: boolean;
  readonly redirects: readonly {
    readonly keep: string;
    readonly then: string;
    readonly constrained: boolean;
  }[];
  readonly called: boolean;
}

/** Reads an answer of these tokens. Where it is to go on another way, the rest of the tokens comes there. */
function read(
  plan: AnswerPlan,
  pieces: readonly string[],
  { stops = [] as readonly string[], cut = false } = {},
): Read {
  const tokens = new Tokens();
  let ids = 0;
  const reader = new AnswerReader({
    plan,
    stops,
    detokenize: (all) => tokens.text(all),
    tokenize: (text) => Array.from(text, (character) => tokens.of(character)),
    before: [],
    nextId: () => `id${ids++}`,
  });
  let taken: number[] = [];
  const parts: string[] = [];
  const redirects: { keep: string; then: string; constrained: boolean }[] = [];
  const take = ({ parts: given }: AnswerStep): void => {
    for (const part of given) {
      const text = part.kind === 'tool_call' ? `${part.call.name}(${part.call.arguments})` : part.text;
      const last = parts.at(-1);
      // Pieces of one kind are joined: how they are cut is nobody's business.
      if (part.kind !== 'tool_call' && last?.startsWith(`${part.kind}: `) === true)
        parts[parts.length - 1] = last + text;
      else parts.push(`${part.kind}: ${text}`);
    }
  };
  const redirect = ({ keep, then, constrained }: Redirect): void => {
    redirects.push({ keep: tokens.text(taken.slice(0, keep)), then: tokens.text(then), constrained });
    taken = [...taken.slice(0, keep), ...then];
    expect(reader.tokens).toBe(taken.length);
  };
  for (const piece of pieces) {
    const token = tokens.of(piece);
    taken.push(token);
    const step = reader.push(token);
    take(step);
    if (step.stopped) return { parts, stopped: true, redirects, called: reader.hasCalled };
    if (step.redirect !== undefined) redirect(step.redirect);
  }
  const last = reader.finish(cut);
  take(last);
  return { parts, stopped: last.stopped, redirects, called: reader.hasCalled };
}

function withTools(dialect: Dialect, more: Partial<AnswerPlan> = {}): AnswerPlan {
  return { ...plainAnswer, tools: { dialect, names: new Set(['add', 'list']), isOpen: false }, ...more };
}

const thinking = { opening: '<think>', closing: '</think>', isOpen: false, budget: undefined };
const call = '{"name": "add", "arguments": {"a": 1}}';

test('text is text, up to a stop text', () => {
  expect(read(plainAnswer, ['Hel', 'lo <think>', ' <tool_call>']).parts).toEqual([
    'token: Hello <think> <tool_call>',
  ]);
  const stopped = read(plainAnswer, ['one EN', 'D two'], { stops: ['END'] });
  expect([stopped.parts, stopped.stopped]).toEqual([['token: one '], true]);
});

describe('thinking', () => {
  const plan: AnswerPlan = { ...plainAnswer, thinking };

  test('is told apart, without its marks and blanks', () => {
    expect(read(plan, ['<th', 'ink>\nhm', ' hm\n</thi', 'nk>\n\nYes', '.']).parts).toEqual([
      'thinking: hm hm',
      'token: Yes.',
    ]);
  });

  test('that the prompt has opened needs no opening', () => {
    const open = { ...plan, thinking: { ...thinking, isOpen: true } };
    expect(read(open, ['hm', '</think>', 'Yes']).parts).toEqual(['thinking: hm', 'token: Yes']);
  });

  test('is text where it does not come first', () => {
    expect(read(plan, ['Yes <think>no</think>']).parts).toEqual(['token: Yes <think>no</think>']);
  });

  test('that has had its tokens is ended, and the answer begins', () => {
    const short = { ...plan, thinking: { ...thinking, isOpen: true, budget: 2 } };
    const { parts, redirects } = read(short, ['a', 'b', 'Yes']);
    expect(parts).toEqual(['thinking: ab', 'token: Yes']);
    expect(redirects).toEqual([{ keep: 'ab', then: '\n</think>\n\n', constrained: false }]);
  });

  test('comes before the grammar', () => {
    const led: AnswerPlan = {
      ...plan,
      thinking: { ...thinking, isOpen: true },
      constrained: { from: 'answer', lead: '' },
    };
    expect(read(led, ['hm', '</think>', '{}'])).toMatchObject({
      parts: ['thinking: hm', 'token: {}'],
      redirects: [{ keep: 'hm</think>', then: '', constrained: true }],
    });
    // What came behind the mark in the same token is made again, within the grammar.
    expect(read(led, ['hm', '. </think', '>No', '{}'])).toMatchObject({
      parts: ['thinking: hm.', 'token: {}'],
      redirects: [{ keep: 'hm', then: '. </think>', constrained: true }],
    });
  });

  test('cannot be stopped by a stop text', () => {
    const { parts } = read(plan, ['<think>END</think>', 'Yes'], { stops: ['END'] });
    expect(parts).toEqual(['thinking: END', 'token: Yes']);
  });
});

describe('calls', () => {
  test.each([
    [
      'hermes',
      hermes,
      ['Well.\n<tool', '_call>', `\n${call}\n`, '</tool_call>', `\n<tool_call>\n${call}</tool_call>`],
    ],
    ['mistral', mistral, ['Well.\n', '[TOOL_CALLS]', `[${call}, `, `${call}]`]],
    [
      'mistral with names',
      mistralArgs,
      ['Well.', '[TOOL_CALLS]add[ARGS]{"a": 1}[TOOL_CALLS]add[CALL_ID]x1[ARGS]{"a": 1}'],
    ],
  ])('of %s', (_, dialect, pieces) => {
    expect(read(withTools(dialect), pieces)).toMatchObject({
      parts: ['token: Well.', 'tool_call: add({"a":1})', 'tool_call: add({"a":1})'],
      called: true,
    });
  });

  test('of llama 3 are the whole answer', () => {
    const written = '{"name": "add", "parameters": {"a": "}"}}';
    expect(read(withTools(llama3), ['  {"na', written.slice(4)]).parts).toEqual([
      'tool_call: add({"a":"}"})',
    ]);
    expect(read(withTools(llama3), ['See ', written]).parts).toEqual([`token: See ${written}`]);
    expect(read(withTools(llama3), ['{"names', '"}']).parts).toEqual(['token: {"names"}']);
  });

  test('whose marks stand in their own arguments', () => {
    const tricky = '{"name": "add", "arguments": {"a": "</tool_call>\\"{"}}';
    expect(read(withTools(hermes), ['<tool_call>', tricky, '</tool_call>']).parts).toEqual([
      'tool_call: add({"a":"</tool_call>\\"{"})',
    ]);
  });

  test('begin the grammar where it waits for them', () => {
    const plan = withTools(hermes, { constrained: { from: 'calls' } });
    expect(read(plan, ['Well. ', '<tool_call>', `${call}</tool_call>`])).toMatchObject({
      parts: ['token: Well.', 'tool_call: add({"a":1})'],
      redirects: [{ keep: 'Well. <tool_call>', then: '', constrained: true }],
    });
    expect(read(plan, ['Well', '. <tool_call', '>{"x', `${call}</tool_call>`])).toMatchObject({
      parts: ['token: Well.', 'tool_call: add({"a":1})'],
      redirects: [{ keep: 'Well', then: '. <tool_call>', constrained: true }],
    });
  });

  test('come after thinking', () => {
    const plan = withTools(hermes, {
      thinking: { ...thinking, isOpen: true },
      constrained: { from: 'answer', lead: '<tool_call>' },
    });
    expect(read(plan, ['hm', '</think>', `\n${call}\n</tool_call>`])).toMatchObject({
      parts: ['thinking: hm', 'tool_call: add({"a":1})'],
      redirects: [{ keep: '', then: 'hm</think><tool_call>', constrained: true }].map((one) => ({
        ...one,
        keep: 'hm',
        then: '</think><tool_call>',
      })),
    });
  });

  test.each([
    ['that are no JSON', ['<tool_call>', '{"name": add}']],
    ['of tools that are not there', ['<tool_call>', '{"name": "rm", "arguments": {}}']],
    ['whose arguments are no object', ['<tool_call>', '{"name": "add", "arguments": [1]}']],
    ['that are never made', ['<tool_call>', 'never mind']],
    ['that are never finished', ['<tool_call>', '{"name": "add"']],
  ])('%s are malformed', (_, pieces) => {
    expect(() => read(withTools(hermes), pieces)).toThrow(RequestError);
    expect(() => read(withTools(hermes), pieces)).toThrow(/call of a tool that is none/u);
  });

  test('that are cut off are not told', () => {
    expect(read(withTools(hermes), ['<tool_call>', '{"name": "add"'], { cut: true }).parts).toEqual([]);
  });

  test('that may not be made are text', () => {
    expect(read(plainAnswer, ['<tool_call>', call]).parts).toEqual([`token: <tool_call>${call}`]);
  });
});

test('however an answer is cut into tokens, it reads the same', () => {
  const texts = [
    `<think>\nI know\n</think>\n\nSo: <b\n<tool_call>\n${call}\n</tool_call>\n<tool_call>\n${call}\n</tool_call>`,
    '<thin line <tool_cal> 💡 é',
    `Text <tool_call>${call}</tool_call>`,
  ];
  const plan = withTools(hermes, { thinking });
  fc.assert(
    fc.property(
      fc.constantFrom(...texts),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
      (text, cuts) => {
        const characters = Array.from(text);
        const pieces: string[] = [];
        for (let index = 0; characters.length > 0; index += 1) {
          pieces.push(characters.splice(0, cuts[index % cuts.length] ?? 1).join(''));
        }
        expect(read(plan, pieces).parts).toEqual(read(plan, [text]).parts);
      },
    ),
  );
});
