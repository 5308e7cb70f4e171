import { limits } from '@hearth/protocol';
import { HearthFailure } from '../sidecar/hearth-connection.js';

/** A tool as VS Code describes it. */
export interface OfferedTool {
  readonly name: string;
  readonly description: string;
  /** JSON Schema of its arguments. */
  readonly inputSchema?: object | undefined;
}

/** The fields of a request that are about tools; empty where there are none. */
export interface WireTools {
  readonly tools?: { name: string; description: string; input_schema?: Record<string, unknown> }[];
  readonly tool_choice?: 'auto' | 'required';
}

/**
 * Tools for a request.
 *
 * @param required Whether the answer has to be a call.
 * @throws HearthFailure where there are tools and the model cannot call any, or too many of them.
 */
export function wireTools(
  tools: readonly OfferedTool[],
  required: boolean,
  abilities: { readonly tools: boolean },
): WireTools {
  if (tools.length === 0) return {};
  if (!abilities.tools) {
    if (!required) return {};
    throw new HearthFailure('This model cannot call tools. Choose a model with a chat template that can.');
  }
  if (tools.length > limits.tools) {
    throw new HearthFailure(
      `${tools.length} tools are switched on for this chat; ${limits.tools} is the most. Switch some off in the tools picker of the chat.`,
    );
  }
  return {
    tools: tools.map(({ name, description, inputSchema }) => ({
      name,
      description: description.slice(0, limits.toolDescription),
      ...(inputSchema === undefined ? {} : { input_schema: { ...inputSchema } }),
    })),
    tool_choice: required ? 'required' : 'auto',
  };
}
