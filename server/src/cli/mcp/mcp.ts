import { serveStdio, StdioServerTransport } from '@modelcontextprotocol/server/stdio';
import { type ExitCode, exitCodes } from '../exit-codes.js';
import { findPaths } from '../find-paths.js';
import { onInterrupt } from '../signals.js';
import { daemonLink } from './daemon-link.js';
import { mcpServer } from './mcp-server.js';

export interface McpFlags {
  readonly runtimeDir?: string;
  readonly model?: string;
}

/** Most bytes of one message. */
const longestMessage = 8 * 1024 * 1024;

/**
 * `hearth mcp`: the Model Context Protocol on standard input and output, until the input ends or a signal comes. The
 * daemon is looked for, and where there is none started, when a tool is called first.
 */
export async function mcp(flags: McpFlags): Promise<ExitCode> {
  const interrupted = onInterrupt();
  const link = daemonLink(findPaths(flags.runtimeDir), flags.model);
  const transport = new StdioServerTransport(process.stdin, process.stdout, {
    maxBufferSize: longestMessage,
  });
  const handle = serveStdio(() => mcpServer(link), {
    transport,
    onerror: ({ name }) => process.stderr.write(`hearth: a message could not be handled (${name})\n`),
  });
  await ended(interrupted);
  await handle.close();
  await link.close();
  return exitCodes.ok;
}

async function ended(interrupted: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    process.stdin.once('end', resolve).once('close', resolve);
    process.stdout.once('close', resolve).once('error', () => resolve());
    interrupted.addEventListener('abort', () => resolve(), { once: true });
  });
}
