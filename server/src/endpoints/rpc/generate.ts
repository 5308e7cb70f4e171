import {
  generateRequestSchema,
  GenerateRequestMessage,
  HearthError,
  type GenerateRequest,
} from '@hearth/protocol';
import * as z from 'zod';
import type { MessageConnection } from 'vscode-jsonrpc';
import type { DaemonApi, GenerationEvent } from '../../daemon-api.js';

export const generateParamsSchema = z.object({
  request: generateRequestSchema.refine(
    ({ wire_version, dry_run }) => wire_version === undefined && dry_run !== true,
    'wire_version and dry_run are for the inference socket',
  ),
  client: z.string().min(1).max(64),
  progressToken: z.union([z.string(), z.number()]).optional(),
});

/** The parameters of `hearth/generate`, checked. */
export interface GenerateParams {
  readonly request: GenerateRequest;
  readonly client: string;
  readonly progressToken?: string | number | undefined;
}

/**
 * Runs one `hearth/generate`. Each piece of text is written to the peer before the next is taken from the
 * daemon, so that a peer that reads slowly slows its own stream and nobody else's.
 *
 * @param peer whose fair share it counts against: see `Caller.client`.
 * @throws HearthError as {@link DaemonApi.generate} does.
 */
export async function generate(
  connection: MessageConnection,
  daemon: DaemonApi,
  peer: string,
  params: GenerateParams,
  signal: AbortSignal,
): Promise<GenerateRequestMessage.Result> {
  const { request, client, progressToken } = params;
  for await (const event of daemon.generate(
    request,
    { name: client, client: peer, route: 'hearth/generate' },
    signal,
  )) {
    if (event.kind === 'done') return toResult(event);
    const piece = progressToken === undefined || signal.aborted ? undefined : toProgress(event);
    if (progressToken === undefined || piece === undefined) continue;
    const write = connection.sendProgress(GenerateRequestMessage.progress, progressToken, piece);
    await settledOrAborted(write, signal);
  }
  throw new HearthError('internal', 'The generation ended without an end.');
}

/** Undefined for an event that is nothing to whoever waits for the answer. */
function toProgress(event: GenerationEvent): GenerateRequestMessage.Progress | undefined {
  switch (event.kind) {
    case 'token':
      return { content: event.text, ...(event.logprobs === undefined ? {} : { logprobs: event.logprobs }) };
    case 'thinking':
      return { content: '', thinking: event.text };
    case 'tool_call':
      return { content: '', toolCall: event.call };
    case 'queued':
      return { content: '', stage: { kind: 'queued', position: event.position } };
    case 'loading': {
      const { kind, model, progress } = event;
      return { content: '', stage: { kind, model, ...(progress === undefined ? {} : { progress }) } };
    }
    case 'started':
      return { content: '', stage: { kind: 'prefill' } };
    case 'prefill':
      return { content: '', stage: { kind: 'prefill', progress: event.progress } };
    case 'resumed':
    case 'done':
      return undefined;
  }
}

function toResult(event: Extract<GenerationEvent, { kind: 'done' }>): GenerateRequestMessage.Result {
  // The engine's own times stay here: nobody at the other end reads them.
  const { kind: _kind, text, timings: _timings, firstTokenMs, ...rest } = event;
  return { content: text, ...rest, ...(firstTokenMs === undefined ? {} : { firstTokenMs }) };
}

/**
 * Waits for `write`, but not past an abort: a peer that has stopped reading must not keep a cancelled generation,
 * and the place it holds in the daemon, from ending.
 */
async function settledOrAborted(write: Promise<void>, signal: AbortSignal): Promise<void> {
  if (signal.aborted) {
    write.catch(() => {});
    return;
  }
  await new Promise<void>((resolve, reject) => {
    const abort = (): void => resolve();
    signal.addEventListener('abort', abort, { once: true });
    write.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
