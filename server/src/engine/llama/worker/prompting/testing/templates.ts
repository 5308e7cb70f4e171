/**
 * Small chat templates in the shapes that model families use. They were written for these tests: same marks, same
 * quirks, none of their text.
 */
export interface Family {
  readonly name: string;
  readonly controls: readonly string[];
  readonly begin?: string;
  readonly end: string;
  readonly template: string;
}

export const chatMlFamily: Family = {
  name: 'chatml',
  controls: ['<|endoftext|>', '<|im_start|>', '<|im_end|>'],
  end: '<|im_end|>',
  template: `{%- if messages[0].role != 'system' %}{{ '<|im_start|>system\\nYou are helpful.<|im_end|>\\n' }}{% endif %}
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}`,
};

export const llama3Family: Family = {
  name: 'llama 3',
  controls: ['<|begin_of_text|>', '<|start_header_id|>', '<|end_header_id|>', '<|eot_id|>'],
  begin: '<|begin_of_text|>',
  end: '<|eot_id|>',
  template: `{% for m in messages %}
{% set text = '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + m['content'] | trim + '<|eot_id|>' %}
{% if loop.first %}{% set text = bos_token + text %}{% endif %}
{{- text -}}
{% endfor %}
{% if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}{% endif %}`,
};

/** No place for a system message of its own; user and assistant must take turns. */
export const mistralFamily: Family = {
  name: 'mistral',
  controls: ['<s>', '</s>', '[INST]', '[/INST]'],
  begin: '<s>',
  end: '</s>',
  template: `{{ bos_token }}{% if messages[0].role == 'system' %}{% set system = messages[0].content %}{% set turns = messages[1:] %}{% else %}{% set turns = messages %}{% endif %}
{%- for m in turns %}
{%- if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}
{%- if m.role == 'user' %}{{ '[INST] ' }}{% if loop.first and system is defined %}{{ system + '\\n\\n' }}{% endif %}{{ m.content + ' [/INST]' }}
{%- else %}{{ ' ' + m.content + eos_token }}{% endif %}
{%- endfor %}`,
};

/** Refuses a system message; calls the assistant a model. */
export const gemmaFamily: Family = {
  name: 'gemma',
  controls: ['<bos>', '<eos>', '<start_of_turn>', '<end_of_turn>'],
  begin: '<bos>',
  end: '<end_of_turn>',
  template: `{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system role here') }}{% endif %}
{%- for m in messages %}
{%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}
{%- if m['role'] == 'assistant' %}{% set role = 'model' %}{% else %}{% set role = m['role'] %}{% endif %}
{{- '<start_of_turn>' + role + '\\n' + m['content'] | trim + '<end_of_turn>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}`,
};

/** Keeps the system message before all turns, and opens the thinking of the answer. */
export const deepSeekFamily: Family = {
  name: 'deepseek',
  controls: ['<｜begin▁of▁sentence｜>', '<｜end▁of▁sentence｜>', '<｜User｜>', '<｜Assistant｜>'],
  begin: '<｜begin▁of▁sentence｜>',
  end: '<｜end▁of▁sentence｜>',
  template: `{% set ns = namespace(system='') %}
{%- for m in messages %}{% if m.role == 'system' %}{% set ns.system = m.content %}{% endif %}{% endfor %}
{{- bos_token + ns.system }}
{%- for m in messages %}
{%- if m.role == 'user' %}{{ '<｜User｜>' + m.content }}
{%- elif m.role == 'assistant' %}
{%- set content = m.content %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}
{{- '<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>' }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<｜Assistant｜><think>\\n' }}{% endif %}`,
};

export const phiFamily: Family = {
  name: 'phi',
  controls: ['<|endoftext|>', '<|system|>', '<|user|>', '<|assistant|>', '<|end|>'],
  end: '<|endoftext|>',
  template: `{% for m in messages %}{{ '<|' + m['role'] + '|>\\n' + m['content'] + '<|end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}`,
};

export const families: readonly Family[] = [
  chatMlFamily,
  llama3Family,
  mistralFamily,
  gemmaFamily,
  deepSeekFamily,
  phiFamily,
];
