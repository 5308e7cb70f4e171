import { agentTools } from './agent-tools.js';
import type { HearthClient } from './client.js';
import { HearthError } from './errors.js';

/** What a tool gives back. */
export interface AgentAnswer {
  readonly text: string;
  /** Whether the answer was cut off at its most tokens. */
  readonly cut: boolean;
}

/** Digits of the numbers of a vector: more than any comparison needs would only fill a context. */
const digits = 6;

/**
 * Runs a tool of {@link agentTools} on a connection to the daemon. The signal ends it there too.
 *
 * @throws HearthError `not_found` for another name, `invalid_request` for input that is not right, and what the daemon
 *   says, in words for whoever called
 * @throws ConnectionLostError as the client does
 * @throws the signal's reason when it was aborted
 */
export async function runAgentTool(
  client: HearthClient,
  name: string,
  input: unknown,
  signal: AbortSignal,
): Promise<AgentAnswer> {
  const job = agentTools.find((tool) => tool.name === name)?.job(input);
  if (job === undefined) throw new HearthError('not_found', 'There is no such tool.');
  if (job.kind === 'generate') {
    const done = await client.complete(job.request, { signal });
    return { text: job.read(done.content), cut: done.stop_reason === 'length' };
  }
  const frame = await client.ask(job.request, { signal });
  if (frame.type !== 'embeddings') throw new HearthError('internal', 'The daemon gave another answer.');
  const { model, dimensions, embeddings } = frame;
  const rounded = embeddings.map((vector) => vector.map((value) => Number(value.toFixed(digits))));
  return { text: JSON.stringify({ model, dimensions, embeddings: rounded }), cut: false };
}
