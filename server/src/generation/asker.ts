import {
  type GenerateRequest,
  HearthError,
  limits,
  resolveGeneration,
  type TypedRequest,
} from '@hearth/protocol';
import type { Permit } from '../admission/admission.js';
import type { Caller, Rendering, TypedResult } from '../daemon-api.js';
import type { Engine } from '../engine/engine.js';
import { failureToError, isBackendFault } from './failures.js';
import type { GeneratorParts } from './generator.js';
import { rankResults } from './rank-results.js';
import type { LiveStream } from './stream-registry.js';

/** What a request that is no generation needs of an engine. */
type Need = 'embed' | 'rerank' | 'tokenize';

interface Asked {
  readonly id: string;
  readonly model?: string | undefined;
  readonly class?: TypedRequest['class'];
  readonly deadline_ms?: number | undefined;
}

/** What came of it, and how many tokens were read for it. */
interface Worked<Result> {
  readonly result: Result;
  readonly inputTokens: number;
}

/**
 * The life of a request that is answered by one frame. Embeddings and rankings pass the same gate as generations (row
 * 64); tokens and texts are cheap: they do not wait for a turn, and have a bound of their own.
 *
 * @throws HearthError `cancelled` once `signal` is aborted, and as {@link generate} does.
 */
export async function answerTyped(
  parts: GeneratorParts,
  request: TypedRequest,
  caller: Caller,
  signal: AbortSignal,
): Promise<TypedResult> {
  switch (request.type) {
    case 'embed':
      return admitted(parts, request, 'embed', caller, signal, (engine, stop) =>
        embed(engine, request, stop),
      );
    case 'rerank':
      return admitted(parts, request, 'rerank', caller, signal, (engine, stop) =>
        rerank(engine, request, stop),
      );
    case 'tokenize':
      return aside(parts, request, caller, signal, async (engine, stop) => {
        const tokens = await engine.tokenize(request.content, stop);
        return { result: { kind: 'tokens', ...served(engine), tokens }, inputTokens: tokens.length };
      });
    case 'detokenize':
      return aside(parts, request, caller, signal, async (engine, stop) => {
        const content = await engine.detokenize(request.tokens, stop);
        return { result: { kind: 'text', ...served(engine), content }, inputTokens: 0 };
      });
  }
}

/** The prompt of a generation that is not run (`dry_run`). @throws HearthError as {@link generate} does. */
export async function render(
  parts: GeneratorParts,
  request: GenerateRequest,
  caller: Caller,
  signal: AbortSignal,
): Promise<Rendering> {
  const resolved = resolveGeneration(request, caller.client ?? caller.name);
  return admitted(parts, request, 'tokenize', caller, signal, async (engine, stop) => {
    const rendered = await engine.render(resolved, stop);
    return { result: { ...served(engine), ...rendered }, inputTokens: rendered.promptTokens };
  });
}

type Work<Result> = (engine: Engine, signal: AbortSignal) => Promise<Worked<Result>>;

async function admitted<Result>(
  parts: GeneratorParts,
  request: Asked,
  need: Need,
  caller: Caller,
  signal: AbortSignal,
  work: Work<Result>,
): Promise<Result> {
  const stream = parts.streams.open(caller.name);
  const cancel = (): void => {
    stream.cancel();
  };
  if (signal.aborted) cancel();
  signal.addEventListener('abort', cancel, { once: true });
  const arrivedAt = parts.now();
  let permit: Permit | undefined;
  try {
    const resident = await parts.residency?.keyFor(request.model);
    const outcome = await admission(parts, request, caller, stream, resident);
    if (outcome === undefined) throw cancelled();
    permit = outcome;
    if (permit.revoked.aborted) cancel();
    permit.revoked.addEventListener('abort', cancel, { once: true });
    const timing = { arrivedAt, queueMs: Math.round(permit.waitedMs) };
    const named = resident === undefined ? request : { ...request, model: resident };
    return await routed(parts, named, need, stream.signal, work, { stream, timing });
  } catch (error) {
    // Superseded, or past its deadline: the reason says so.
    permit?.revoked.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', cancel);
    permit?.release();
    parts.streams.close(stream);
  }
}

/** Undefined: cancelled meanwhile. */
async function admission(
  parts: GeneratorParts,
  request: Asked,
  caller: Caller,
  stream: LiveStream,
  model: string | undefined,
): Promise<Permit | undefined> {
  const ticket = {
    model,
    id: stream.id,
    client: caller.client ?? caller.name,
    class: request.class ?? 'chat',
    deadlineMs: request.deadline_ms,
  };
  try {
    const outcome = await parts.admission.acquire(ticket, stream.signal);
    return outcome.kind === 'granted' ? outcome.permit : undefined;
  } catch (error) {
    const code = error instanceof HearthError ? error.code : 'internal';
    parts.record('warn', 'admission', { msg: 'request_rejected', req_id: reqIdOf(request), code });
    throw error;
  }
}

/** Past those who wait for a turn. */
async function aside(
  parts: GeneratorParts,
  request: Asked,
  caller: Caller,
  signal: AbortSignal,
  work: Work<TypedResult>,
): Promise<TypedResult> {
  try {
    return await parts.sideDoor.pass(caller.client ?? caller.name, signal, () =>
      routed(parts, request, 'tokenize', signal, work),
    );
  } catch (error) {
    throw signal.aborted ? cancelled() : error;
  }
}

interface Told {
  readonly stream: LiveStream;
  readonly timing: { readonly arrivedAt: number; readonly queueMs: number };
}

async function routed<Result>(
  parts: GeneratorParts,
  request: Asked,
  need: Need,
  signal: AbortSignal,
  work: Work<Result>,
  told?: Told,
): Promise<Result> {
  const route = parts.router.route(request.model, need);
  const { engine } = route;
  told?.stream.running(engine.name);
  try {
    const { result, inputTokens } = await work(engine, signal);
    // Cheap work says little of how well a backend generates.
    route.settle(told === undefined ? 'neutral' : 'success');
    if (told !== undefined) recordDone(parts, request, engine, inputTokens, told.timing);
    return result;
  } catch (error) {
    if (signal.aborted) {
      route.settle('neutral');
      throw cancelled();
    }
    route.settle(isBackendFault(error) ? 'failure' : 'neutral');
    const failure = failureToError(error);
    parts.record('warn', 'router', {
      msg: 'request_error_pre_stream',
      req_id: reqIdOf(request),
      backend: engine.name,
      code: failure.code,
    });
    throw failure;
  }
}

async function embed(
  engine: Engine,
  { input, dimensions, task }: Extract<TypedRequest, { type: 'embed' }>,
  signal: AbortSignal,
): Promise<Worked<TypedResult>> {
  const width = dimensions ?? engine.model?.dimensions ?? 0;
  if (input.length * width > limits.embedNumbers) {
    throw new HearthError(
      'invalid_request',
      `input: the vectors would have more than ${String(limits.embedNumbers)} numbers together; send fewer texts at once`,
    );
  }
  const { vectors, inputTokens } = await engine.embed({ texts: input, dimensions, task }, signal);
  return {
    result: { kind: 'embeddings', ...served(engine), vectors, inputTokens },
    inputTokens,
  };
}

async function rerank(
  engine: Engine,
  { query, documents, top_n }: Extract<TypedRequest, { type: 'rerank' }>,
  signal: AbortSignal,
): Promise<Worked<TypedResult>> {
  const { scores, inputTokens } = await engine.rerank(query, documents, signal);
  return {
    result: { kind: 'ranking', ...served(engine), results: rankResults(scores, top_n), inputTokens },
    inputTokens,
  };
}

function served(engine: Engine): { readonly backend: string; readonly model: string } {
  return { backend: engine.name, model: engine.model?.id ?? engine.name };
}

function recordDone(
  parts: GeneratorParts,
  request: Asked,
  engine: Engine,
  inputTokens: number,
  { arrivedAt, queueMs }: Told['timing'],
): void {
  parts.record('info', 'router', {
    msg: 'request_done',
    req_id: reqIdOf(request),
    backend: engine.name,
    stop_reason: 'end',
    prompt_tokens: inputTokens,
    completion_tokens: 0,
    queue_ms: queueMs,
    total_ms: Math.round(parts.now() - arrivedAt),
  });
}

function reqIdOf({ id }: Asked): string {
  return id.slice(0, 128);
}

function cancelled(): HearthError {
  return new HearthError('cancelled', 'The request was cancelled.');
}
