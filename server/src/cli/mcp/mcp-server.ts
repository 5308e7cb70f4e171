import {
  agentTools,
  ConnectionLostError,
  runAgentTool,
  toHearthError,
  type AgentTool,
} from '@hearth/protocol';
import { McpServer, type CallToolResult } from '@modelcontextprotocol/server';
import { NotReadyError } from '../../router/ready-gate.js';
import { version } from '../../version.js';
import type { DaemonLink } from './daemon-link.js';

const instructions =
  'Small jobs for the local model on this machine: private, free, and slower and less able than a large model. Hand it what is self-contained and easy to check.';

/** A server of the Model Context Protocol whose tools are {@link agentTools}. */
export function mcpServer(link: DaemonLink): McpServer {
  const server = new McpServer({ name: 'hearth', title: 'Hearth', version }, { instructions });
  for (const tool of agentTools) addTool(server, tool, link);
  return server;
}

function addTool(server: McpServer, { name, title, description, input }: AgentTool, link: DaemonLink): void {
  // Nothing is changed anywhere, and nobody outside this machine is asked.
  const annotations = { title, readOnlyHint: true, openWorldHint: false };
  server.registerTool(
    name,
    { title, description, inputSchema: input, annotations },
    async (given, { mcpReq: { signal } }): Promise<CallToolResult> => {
      try {
        const answer = await link.use(signal, (client) => runAgentTool(client, name, given, signal));
        const cut = answer.cut
          ? [{ type: 'text' as const, text: '(The answer was cut off at max_tokens.)' }]
          : [];
        return { content: [{ type: 'text', text: answer.text }, ...cut] };
      } catch (error) {
        if (signal.aborted) throw error;
        return { content: [{ type: 'text', text: whatToDo(error) }], isError: true };
      }
    },
  );
}

/** A failure in words for the agent, and for the person behind it. */
function whatToDo(error: unknown): string {
  if (error instanceof ConnectionLostError) return error.message;
  if (error instanceof NotReadyError) {
    return `Hearth could not start: ${error.message}. \`hearth doctor\` says what is wrong and what to do.`;
  }
  const { code, message } = toHearthError(error);
  return `${code}: ${message}`;
}
