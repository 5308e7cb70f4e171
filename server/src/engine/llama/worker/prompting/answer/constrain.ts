import type { ChatInput, OutputFormat, ToolDefinition } from '@hearth/protocol';
import { RequestError } from '../../request-error.js';
import { GbnfRules } from '../json-schema/gbnf-rules.js';
import { SchemaError } from '../json-schema/schema-error.js';
import { schemaGrammar, schemaRules } from '../json-schema/schema-grammar.js';
import type { Dialect, ToolRule } from './dialect.js';

/** The grammar of an answer that must be of `format`; undefined: it may be anything. */
export function formatGrammar(format: OutputFormat): string | undefined {
  switch (format.kind) {
    case 'text':
      return undefined;
    case 'gbnf':
      return format.grammar;
    case 'json':
      return schemaGrammar({ type: 'object' });
    case 'json_schema':
      return named('response_format.schema', () => schemaGrammar(format.schema));
  }
}

/** The grammar of calls, behind their opening. */
export function callGrammar(input: ChatInput, dialect: Dialect): string {
  const rules = new GbnfRules();
  const tools = callable(input).map((tool): ToolRule => ({
    name: tool.name,
    input: inputRules(rules, tool, input.tools.indexOf(tool)),
  }));
  return rules.text(dialect.calls(rules, tools, input.parallelToolCalls));
}

/** The tools that may be called. */
export function callable({ tools, toolChoice }: ChatInput): readonly ToolDefinition[] {
  switch (toolChoice.kind) {
    case 'none':
      return [];
    case 'named':
      return tools.filter(({ name }) => name === toolChoice.name);
    case 'auto':
    case 'required':
      return tools;
  }
}

/** Arguments are an object, whatever a schema says or leaves out. */
function inputRules(rules: GbnfRules, tool: ToolDefinition, index: number): string {
  return named(`tools.${index}.input_schema`, () =>
    schemaRules(rules, tool.input_schema, 'loosen', (root) => rules.text(root), 'object'),
  );
}

/** @throws RequestError `invalid_request` that says where in the request it is. */
function named<Result>(field: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    throw new RequestError('invalid_request', `${field}: ${error.message}`, { cause: error });
  }
}
