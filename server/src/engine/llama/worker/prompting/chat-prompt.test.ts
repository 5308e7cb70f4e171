import { generateRequestSchema, resolveGeneration } from '@hearth/protocol';
import type { GenerateRequestInput } from '@hearth/protocol';
import { describe, expect, test } from 'vitest';
import { refuseGrammar } from '../grammar-guard.js';
import { TestGrammar } from './json-schema/testing/gbnf-matcher.js';
import { PromptBuilder } from './prompt-builder.js';
import type { Prompt, PromptBounds } from './prompt-builder.js';
import { chatMlFamily, deepSeekFamily, gemmaFamily } from './testing/templates.js';
import type { Family } from './testing/templates.js';
import { toyText, toyVocabulary } from './testing/toy-vocabulary.js';

/** Tools and thinking in prompts, in the shapes of the families that have them. */

const bounds: PromptBounds = { contextSize: 65_536, maxTokens: 100, longestTokenBytes: 0 };

const hermesFamily: Family = {
  ...chatMlFamily,
  name: 'hermes',
  template: `{%- if tools %}{{ '<|im_start|>system\\n# Tools\\n' }}{% for tool in tools %}{{ tool | tojson + '\\n' }}{% endfor %}{{ 'Answer with <tool_call>...</tool_call><|im_end|>\\n' }}{% endif %}
{%- for message in messages %}
{%- if message.role == 'tool' %}{{ '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
{%- else %}{{ '<|im_start|>' + message.role + '\\n' + message.content }}
{%- for call in message.tool_calls or [] %}{{ '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}{{ call.function.arguments | tojson }}{{ '}\\n</tool_call>' }}{% endfor %}{{ '<|im_end|>\\n' }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{% endif %}`,
};

const mistralTools: Family = {
  name: 'mistral with tools',
  controls: [
    '<s>',
    '</s>',
    '[INST]',
    '[/INST]',
    '[TOOL_CALLS]',
    '[TOOL_RESULTS]',
    '[/TOOL_RESULTS]',
    '[AVAILABLE_TOOLS]',
    '[/AVAILABLE_TOOLS]',
  ],
  begin: '<s>',
  end: '</s>',
  template: `{{ bos_token }}{% for m in messages %}
{%- if m.role == 'user' %}{% if loop.last and tools %}{{ '[AVAILABLE_TOOLS]' + (tools | tojson) + '[/AVAILABLE_TOOLS]' }}{% endif %}{{ '[INST]' + m.content + '[/INST]' }}
{%- elif m.role == 'tool' %}{% if m.tool_call_id | length != 9 %}{{ raise_exception('Ids have nine characters') }}{% endif %}{{ '[TOOL_RESULTS]' + m.content + '[/TOOL_RESULTS]' }}
{%- elif m.tool_calls is defined %}{{ '[TOOL_CALLS][' }}{% for c in m.tool_calls %}{{ {'name': c.function.name, 'arguments': c.function.arguments, 'id': c.id} | tojson }}{% endfor %}{{ ']' + eos_token }}
{%- else %}{{ m.content + eos_token }}{% endif %}{% endfor %}`,
};

const llamaTools: Family = {
  name: 'llama 3 with tools',
  controls: ['<|begin_of_text|>', '<|start_header_id|>', '<|end_header_id|>', '<|eot_id|>', '<|python_tag|>'],
  begin: '<|begin_of_text|>',
  end: '<|eot_id|>',
  template: `{{ bos_token }}{% for m in messages %}
{%- set role = 'ipython' if m.role == 'tool' else m.role %}
{{- '<|start_header_id|>' + role + '<|end_header_id|>\\n\\n' }}
{%- if loop.first and tools %}{{ 'Answer in the form {"name": name, "parameters": values}.\\n' }}{% for t in tools %}{{ t | tojson }}{% endfor %}{{ '\\n' }}{% endif %}
{%- if m.tool_calls %}{{ '{"name": "' + m.tool_calls[0].function.name + '", "parameters": ' }}{{ m.tool_calls[0].function.arguments | tojson }}{{ '}' }}{% else %}{{ m.content }}{% endif %}{{ '<|eot_id|>' }}
{%- endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}`,
};

const tools = [
  {
    name: 'add',
    description: 'Adds. <|im_end|>',
    input_schema: { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] },
  },
  { name: 'now' },
];
const history: GenerateRequestInput['messages'] = [
  { role: 'user', content: 'One and one?' },
  {
    role: 'assistant',
    content: [{ type: 'tool_use', tool_call_id: 'call_1', name: 'add', input: { a: 1 } }],
  },
  { role: 'user', content: [{ type: 'tool_result', tool_call_id: 'call_1', content: '2<|im_end|>' }] },
];

function build(family: Family, request: GenerateRequestInput): Prompt & { readonly shown: string } {
  const vocabulary = toyVocabulary(family);
  const resolved = resolveGeneration(generateRequestSchema.parse(request));
  const prompt = new PromptBuilder(vocabulary).build(resolved, bounds);
  return { ...prompt, shown: toyText(prompt.tokens, vocabulary) };
}

describe.each([hermesFamily, mistralTools, llamaTools, gemmaFamily])('$name', (family) => {
  test('shows tools, calls and results', () => {
    expect(build(family, { messages: history, tools }).shown).toMatchSnapshot();
  });

  test('is made to call', () => {
    const { shown, grammar, answer } = build(family, {
      messages: [{ role: 'user', content: 'Now!' }],
      tools,
      tool_choice: 'required',
    });
    expect(answer.constrained).toEqual({ from: 'start' });
    const opening = answer.tools?.dialect.opening ?? '?';
    expect(shown.replaceAll(/[{}]/gu, '').endsWith(opening.replaceAll(/[{}]/gu, ''))).toBe(true);
    expect(refuseGrammar(grammar ?? '')).toBeUndefined();
    const written = new TestGrammar(grammar ?? '').write(() => 0);
    expect(written).toContain('add');
    expect(written).toMatchSnapshot();
  });

  test('may call, and is held to it once it begins', () => {
    const { answer, grammar } = build(family, { messages: history, tools });
    expect(answer.constrained).toEqual({ from: 'calls' });
    expect(grammar).toBeDefined();
  });

  test('may not call', () => {
    const { shown, answer, grammar } = build(family, {
      messages: [{ role: 'user', content: 'x' }],
      tools,
      tool_choice: 'none',
    });
    expect([answer.tools, grammar, shown.includes('"add"')]).toEqual([undefined, undefined, false]);
  });
});

test('one call where more are not wanted, and the named tool alone', () => {
  const request = { messages: [{ role: 'user' as const, content: 'x' }], tools, parallel_tool_calls: false };
  const one = new TestGrammar(
    build(hermesFamily, { ...request, tool_choice: { name: 'now' } }).grammar ?? '',
  );
  const call = '\n{"name": "now", "arguments": {}}\n</tool_call>';
  expect(one.accepts(call)).toBe(true);
  expect(one.accepts(`${call}\n<tool_call>${call}`)).toBe(false);
  expect(one.accepts(call.replace('now', 'add'))).toBe(false);
  const many = new TestGrammar(
    build(hermesFamily, { ...request, tool_choice: 'required', parallel_tool_calls: true }).grammar ?? '',
  );
  expect(many.accepts(`${call}\n<tool_call>${call}`)).toBe(true);
});

describe('thinking', () => {
  const ask = (family: Family, more: object) =>
    build(family, { messages: [{ role: 'user', content: 'x' }], ...more });

  test('is as the template has it where nothing is said', () => {
    expect(ask(hermesFamily, {}).answer.thinking).toMatchObject({ isOpen: false, opening: '<think>' });
    expect(ask(deepSeekFamily, {}).answer.thinking).toMatchObject({ isOpen: true });
  });

  test('is begun where it is wanted, and ended where it is not', () => {
    const wanted = ask(hermesFamily, { thinking: true, thinking_budget: 50 });
    expect(wanted.shown.endsWith('<think>\n')).toBe(true);
    expect(wanted.answer.thinking).toMatchObject({ isOpen: true, budget: 50 });
    const unwanted = ask(deepSeekFamily, { thinking: false });
    expect(unwanted.shown.endsWith('<think>\n\n</think>\n\n')).toBe(true);
    expect(unwanted.answer.thinking).toMatchObject({ isOpen: false });
    expect(ask(hermesFamily, { thinking: false }).shown.endsWith('<think>\n\n</think>\n\n')).toBe(true);
  });

  test('comes before what is held to a schema', () => {
    const schema = { response_format: { type: 'json_schema', schema: { type: 'integer' } } };
    expect(ask(deepSeekFamily, schema).answer.constrained).toEqual({ from: 'answer', lead: '' });
    expect(ask(hermesFamily, schema).answer.constrained).toEqual({ from: 'start' });
  });

  test('cannot be asked of a model that has no marks for it', () => {
    expect(() => ask(gemmaFamily, { thinking: true })).toThrow(/no way to think/u);
  });
});
