import { runAgentTool, toHearthError, type AgentAnswer } from '@hearth/protocol';
import { connect, ConnectError } from '@hearth/protocol/node/connect';
import { HearthFailure } from '../sidecar/hearth-connection.js';

/** How long to try for a connection, in milliseconds: the daemon was there a moment ago. */
const connectMs = 2000;

/**
 * Runs one of the protocol's tools on a connection of its own, which goes to the same daemon that the sidecar speaks for.
 *
 * @throws HearthFailure with words for whoever called; the signal's reason when it was aborted
 */
export async function runTool(
  socketPath: string,
  name: string,
  input: unknown,
  signal: AbortSignal,
): Promise<AgentAnswer> {
  try {
    const client = await connect({ path: socketPath }, { signal, timeoutMs: connectMs });
    try {
      return await runAgentTool(client, name, input, signal);
    } finally {
      client.close();
    }
  } catch (error) {
    if (signal.aborted) throw error;
    if (error instanceof ConnectError) {
      throw new HearthFailure('Hearth cannot be reached. "Hearth: Restart Sidecar" starts it anew.');
    }
    const { message, code } = toHearthError(error);
    throw new HearthFailure(message, code);
  }
}
