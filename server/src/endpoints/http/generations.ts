import { type GenerateRequest, HearthError } from '@hearth/protocol';
import type { GenerationEvent } from '../../daemon-api.js';
import type { Exchange } from './exchange.js';

/** How a generation ended. */
export type Done = Extract<GenerationEvent, { kind: 'done' }>;

/** What a generation makes before its end. */
export type Piece = Extract<GenerationEvent, { kind: 'token' | 'thinking' | 'tool_call' }>;

/**
 * Runs a request and hands each piece on, in its order and at the pace of `onPiece`. Resolves with its end; undefined
 * where the client has gone.
 *
 * @throws HearthError as the daemon does, and `cancelled` where somebody else ended it.
 */
export async function runGeneration(
  { daemon, caller, signal }: Exchange,
  request: GenerateRequest,
  onPiece: (piece: Piece) => Promise<void> | undefined,
): Promise<Done | undefined> {
  for await (const event of daemon.generate(request, caller, signal)) {
    switch (event.kind) {
      case 'token':
      case 'thinking':
      case 'tool_call': {
        const taken = onPiece(event);
        if (taken !== undefined) await taken;
        break;
      }
      case 'done':
        return ended(event, signal);
      // Whoever asks by HTTP is not told of waiting.
      case 'queued':
      case 'loading':
      case 'started':
      case 'prefill':
      case 'resumed':
        break;
    }
  }
  throw new HearthError('internal', 'The generation ended without an end.');
}

/** Runs a request to its end. Undefined where the client has gone. @throws HearthError as {@link runGeneration} */
export async function wholeGeneration(
  exchange: Exchange,
  request: GenerateRequest,
): Promise<Done | undefined> {
  return runGeneration(exchange, request, () => undefined);
}

/**
 * Runs variants of a request side by side; where one fails, the others are ended too.
 *
 * @param run runs one of them
 */
export async function runAll<T>(
  exchange: Exchange,
  requests: readonly GenerateRequest[],
  run: (exchange: Exchange, request: GenerateRequest, index: number) => Promise<T>,
): Promise<readonly T[]> {
  const [only] = requests;
  if (requests.length === 1 && only !== undefined) return [await run(exchange, only, 0)];
  const failed = new AbortController();
  const signal = AbortSignal.any([exchange.signal, failed.signal]);
  const runs = requests.map(async (request, index) => {
    try {
      return await run({ ...exchange, signal }, request, index);
    } catch (error) {
      failed.abort();
      throw error;
    }
  });
  const outcomes = await Promise.allSettled(runs);
  return outcomes.map((outcome) => {
    if (outcome.status === 'fulfilled') return outcome.value;
    throw outcome.reason;
  });
}

/** `request` so often, each time with another seed. */
export function variants(request: GenerateRequest, count: number): readonly GenerateRequest[] {
  if (count === 1) return [request];
  return Array.from({ length: count }, (_, index) => ({
    ...request,
    ...(request.seed === undefined ? {} : { seed: (request.seed + index) >>> 0 }),
  }));
}

function ended(done: Done, signal: AbortSignal): Done | undefined {
  if (done.stopReason === 'cancelled') {
    if (signal.aborted) return undefined;
    throw new HearthError(
      'cancelled',
      'The generation was cancelled by somebody who looks after the daemon.',
    );
  }
  if (done.stopReason === 'error')
    throw new HearthError(
      'backend_unavailable',
      'The backend ended the generation with an error of its own.',
    );
  return done;
}
