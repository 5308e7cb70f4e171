import type { GbnfRules } from '../json-schema/gbnf-rules.js';
import { literal, repeat } from '../json-schema/gbnf-rules.js';

/** How models write calls of tools. Each family was trained on its own way; the marks are what its template shows. */
export interface Dialect {
  readonly name: 'hermes' | 'mistral' | 'mistral-args' | 'llama3';
  /** What begins calls. */
  readonly opening: string;
  /** Whether {@link opening} means calls only at the beginning of an answer. */
  readonly atStartOnly: boolean;
  /** What of the opening is the beginning of the first call itself. */
  readonly begun: string;
  /** Texts that have to be seen where they are control tokens. */
  readonly marks: readonly string[];
  /** An expression for all that follows the opening. */
  calls(rules: GbnfRules, tools: readonly ToolRule[], parallel: boolean): string;
}

export interface ToolRule {
  readonly name: string;
  /** An expression for its arguments. */
  readonly input: string;
}

/** `<tool_call>{"name": …, "arguments": …}</tool_call>`, once for each call. Qwen, Hermes and many more. */
export const hermes: Dialect = {
  name: 'hermes',
  opening: '<tool_call>',
  atStartOnly: false,
  begun: '',
  marks: ['<tool_call>', '</tool_call>'],
  calls: (rules, tools, parallel) => {
    const call = rules.add(
      `"\\n"? "{\\"name\\": \\"" ${named(rules, tools, 'arguments')} "}" "\\n"? "</tool_call>"`,
    );
    return parallel ? `${call} ${repeat(rules.add(`"\\n"? "<tool_call>" ${call}`), 0, mostCalls - 1)}` : call;
  },
};

/** `[TOOL_CALLS][{"name": …, "arguments": …}, …]`. Mistral, before its tokenizer's version 11. */
export const mistral: Dialect = {
  name: 'mistral',
  opening: '[TOOL_CALLS]',
  atStartOnly: false,
  begun: '',
  marks: ['[TOOL_CALLS]'],
  calls: (rules, tools, parallel) => {
    const call = rules.add(`"{\\"name\\": \\"" ${named(rules, tools, 'arguments')} "}"`);
    const more = parallel ? ` ${repeat(rules.add(`"," " "? ${call}`), 0, mostCalls - 1)}` : '';
    return `" "? "[" ${call}${more} "]"`;
  },
};

/** `[TOOL_CALLS]name[ARGS]{…}`, once for each call. Mistral, from its tokenizer's version 11 on. */
export const mistralArgs: Dialect = {
  name: 'mistral-args',
  opening: '[TOOL_CALLS]',
  atStartOnly: false,
  begun: '',
  marks: ['[TOOL_CALLS]', '[ARGS]', '[CALL_ID]'],
  calls: (rules, tools, parallel) => {
    const call = rules.add(
      tools.map(({ name, input }) => `${literal(`${name}[ARGS]`)} ${input}`).join(' | '),
    );
    return parallel ? `${call} ${repeat(rules.add(`"[TOOL_CALLS]" ${call}`), 0, mostCalls - 1)}` : call;
  },
};

/** The answer is one call and nothing else: `{"name": …, "parameters": …}`. Llama 3. */
export const llama3: Dialect = {
  name: 'llama3',
  opening: '{"name": "',
  atStartOnly: true,
  begun: '{"name": "',
  marks: [],
  calls: (rules, tools) => `${named(rules, tools, 'parameters')} "}"`,
};

/** Most calls of one answer. */
const mostCalls = 32;

/** The rest of a call behind the quotation mark before its name. */
function named(rules: GbnfRules, tools: readonly ToolRule[], key: 'arguments' | 'parameters'): string {
  return rules.add(tools.map(({ name, input }) => `${literal(`${name}", "${key}": `)} ${input}`).join(' | '));
}

/** The dialect that a template shows; undefined: none that is known here. */
export function dialectOf(template: string): Dialect | undefined {
  if (template.includes('[TOOL_CALLS]')) return template.includes('[ARGS]') ? mistralArgs : mistral;
  // Some write the inside of a call in XML.
  if (template.includes('<tool_call>')) return template.includes('<function=') ? undefined : hermes;
  if (template.includes('<|python_tag|>') || /"parameters"/u.test(template)) return llama3;
  return undefined;
}

/** What a model that was not trained on tools is told; it then writes calls as {@link hermes} has them. */
export function toolInstructions(tools: readonly object[]): string {
  const lines = tools.map((tool) => JSON.stringify(tool)).join('\n');
  return `You can call these tools, each described by a line of JSON:\n${lines}\n\nTo call a tool, write this and nothing after it:\n<tool_call>\n{"name": "its name", "arguments": {"an argument": "its value"}}\n</tool_call>\nThe result comes in the next message between <tool_response> and </tool_response>.`;
}
