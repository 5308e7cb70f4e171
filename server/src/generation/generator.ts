import {
  type GenerateRequest,
  HearthError,
  type ResolvedGeneration,
  resolveGeneration,
  toHearthError,
} from '@hearth/protocol';
import type { Admission, Admitted, Permit } from '../admission/admission.js';
import type { Caller, GenerationEvent } from '../daemon-api.js';
import type { EngineChunk } from '../engine/engine.js';
import type { RecordActivity } from '../record-activity.js';
import type { Route, Router } from '../router/router.js';
import { failureToError, isBackendFault } from './failures.js';
import { Gathering, isToolChoiceUnsatisfied } from './gathering.js';
import { HeldChunks } from './held-chunks.js';
import { QueueNews } from './queue-news.js';
import type { SideDoor } from './side-door.js';
import type { LiveStream, StreamRegistry } from './stream-registry.js';

export interface GeneratorParts {
  readonly admission: Admission;
  readonly router: Router;
  readonly streams: StreamRegistry;
  /** For what does not wait for a permit. */
  readonly sideDoor: SideDoor;
  readonly record: RecordActivity;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Models that are loaded on demand; absent: none is. */
  readonly residency?: Residency | undefined;
}

/** What a request has to do with models that come and go. */
export interface Residency {
  /**
   * The model that has to be loaded for a request that names this one, or none; undefined: it needs no such model.
   *
   * @throws HearthError `model_not_found`
   */
  keyFor(model: string | undefined): Promise<string | undefined>;
  /** Tells of the load of a model until the call that is given back is made. */
  onLoading(model: string, tell: (model: string, progress: number | undefined) => void): () => void;
}

type DoneChunk = Extract<EngineChunk, { kind: 'done' }>;

/**
 * The life of a request: admission, then routing, then the engine (behaviours.md 1.6). Whatever ends it, its
 * permit, its route and its place in the registry are given back, once, in that order.
 */
export async function* generate(
  parts: GeneratorParts,
  request: GenerateRequest,
  caller: Caller,
  signal: AbortSignal,
): AsyncGenerator<GenerationEvent, void, undefined> {
  const resolved = resolveGeneration(request, caller.client ?? caller.name);
  const stream = parts.streams.open(caller.name);
  const cancel = (): void => {
    stream.cancel();
  };
  if (signal.aborted) cancel();
  signal.addEventListener('abort', cancel, { once: true });
  const arrivedAt = parts.now();
  const reqId = request.id.slice(0, 128);
  let permit: Permit | undefined;
  let finished = false;
  try {
    const resident = parts.residency === undefined ? undefined : await keyFor(parts, request, reqId);
    permit = yield* admit(parts, request, caller, stream, resident);
    if (permit === undefined) {
      finished = true;
      parts.record('info', 'admission', cancelledEvent(reqId, stream));
      yield cancelledInQueue(parts.now() - arrivedAt);
      return;
    }
    // It may have been revoked between its grant and this line, when nobody listened yet.
    if (permit.revoked.aborted) cancel();
    permit.revoked.addEventListener('abort', cancel, { once: true });
    const timing = { arrivedAt, queueMs: Math.round(permit.waitedMs) };
    const granted = permit;
    // Cancelled while its reader stalls: it has stopped, and holds nothing any more.
    const onStopped = (): void => {
      granted.release();
      parts.streams.close(stream);
    };
    const routed = resident === undefined ? request : { ...request, model: resident };
    for await (const event of run(parts, resolved, routed, reqId, stream, timing, onStopped)) {
      if (event.kind === 'done') {
        finished = true;
        // The slot is free before the client can know that its request has ended.
        permit.release();
        if (event.stopReason === 'cancelled') permit.revoked.throwIfAborted();
      }
      yield event;
    }
  } finally {
    signal.removeEventListener('abort', cancel);
    if (!finished) stream.cancel();
    permit?.release();
    parts.streams.close(stream);
  }
}

/** Waits for a permit, and tells of the wait whoever asked to be told. Undefined: cancelled meanwhile. */
async function* admit(
  parts: GeneratorParts,
  request: GenerateRequest,
  caller: Caller,
  stream: LiveStream,
  resident: string | undefined,
): AsyncGenerator<GenerationEvent, Permit | undefined, undefined> {
  const queue = new QueueNews();
  const tells = request.events === true && resident !== undefined;
  const endNews = tells ? parts.residency?.onLoading(resident, queue.loading) : undefined;
  const admitted = parts.admission.acquire(
    {
      id: stream.id,
      client: caller.client ?? caller.name,
      class: request.class ?? 'chat',
      model: resident,
      supersedeKey: request.supersede_key,
      deadlineMs: request.deadline_ms,
      onQueued: request.events === true ? queue.push : undefined,
    },
    stream.signal,
  );
  let isHandedOn = false;
  try {
    if (request.events === true) yield* queue.until(admitted);
    const outcome = await admitted;
    isHandedOn = true;
    return outcome.kind === 'granted' ? outcome.permit : undefined;
  } catch (error) {
    const code = error instanceof HearthError ? error.code : 'internal';
    parts.record('warn', 'admission', { msg: 'request_rejected', req_id: request.id.slice(0, 128), code });
    throw error;
  } finally {
    endNews?.();
    // Whoever was told of the wait has left in the middle of an event: nobody else has the permit, or will.
    if (!isHandedOn) giveBack(admitted);
  }
}

function giveBack(admitted: Promise<Admitted>): void {
  admitted.then(
    (outcome) => {
      if (outcome.kind === 'granted') outcome.permit.release();
    },
    () => undefined,
  );
}

async function keyFor(
  { residency, record }: GeneratorParts,
  { model }: GenerateRequest,
  reqId: string,
): Promise<string | undefined> {
  try {
    return await residency?.keyFor(model);
  } catch (error) {
    record('warn', 'router', { msg: 'request_rejected', req_id: reqId, code: toHearthError(error).code });
    throw error;
  }
}

async function* run(
  parts: GeneratorParts,
  resolved: ResolvedGeneration,
  { model, events: tellsStart }: GenerateRequest,
  reqId: string,
  stream: LiveStream,
  timing: { readonly arrivedAt: number; readonly queueMs: number },
  onStopped: () => void,
): AsyncGenerator<GenerationEvent, void, undefined> {
  const route = claim(parts, model, reqId);
  refuseMedia(parts, route, resolved, reqId);
  const backend = route.engine.name;
  stream.running(backend);
  const gathering = new Gathering();
  let end: DoneChunk | undefined;
  // Stays true where the consumer goes away in mid-stream, which ends this generator at a `yield`.
  let abandoned = true;
  const chunks = new HeldChunks(route.engine.generate(resolved, stream.signal), stream.signal, () => {
    route.settle('neutral');
    onStopped();
  });
  try {
    if (tellsStart === true) yield chunks.hold({ kind: 'started', backend });
    for (;;) {
      const chunk = await chunks.next();
      if (chunk === undefined) break;
      if (chunk.kind === 'done') {
        end = chunk;
        break;
      }
      if (chunk.kind === 'prefill') {
        stream.read(chunk.progress);
        if (tellsStart === true) yield chunks.hold({ ...chunk, backend });
        continue;
      }
      if (chunk.kind !== 'resumed') stream.token();
      gathering.add(chunk);
      yield chunks.hold(chunk);
    }
    if (chunks.wasStopped) end ??= cancelledWith(stream.tokens);
    abandoned = false;
  } catch (error) {
    abandoned = false;
    route.settle(isBackendFault(error) ? 'failure' : 'neutral');
    recordFailure(parts, reqId, stream, backend, error);
    throw failureToError(error);
  } finally {
    await chunks.stop();
    if (abandoned) {
      route.settle('neutral');
      parts.record('info', 'router', cancelledEvent(reqId, stream));
    }
  }
  if (end === undefined) {
    route.settle('failure');
    parts.record('warn', 'router', { msg: 'request_error_mid_stream', req_id: reqId, backend });
    throw new HearthError('backend_unavailable', 'backend ended stream without terminal frame');
  }
  route.settle(end.stopReason === 'cancelled' ? 'neutral' : 'success');
  const firstTokenMs =
    stream.firstTokenAt === undefined ? undefined : Math.round(stream.firstTokenAt - timing.arrivedAt);
  const totalMs = Math.round(parts.now() - timing.arrivedAt);
  recordEnd(parts, reqId, stream, backend, end, { ...timing, firstTokenMs, totalMs });
  const { text, thinking, toolCalls, logprobs } = gathering.all;
  yield {
    kind: 'done',
    text,
    ...(thinking === '' ? {} : { thinking }),
    ...(toolCalls.length === 0 ? {} : { toolCalls }),
    ...(logprobs.length === 0 ? {} : { logprobs }),
    ...(isToolChoiceUnsatisfied(resolved, toolCalls) ? { toolChoiceUnsatisfied: true } : {}),
    ...(end.stopDetail === undefined ? {} : { stopDetail: end.stopDetail }),
    ...(end.timings === undefined ? {} : { timings: end.timings }),
    usage: end.usage,
    stopReason: end.stopReason,
    backend,
    queueMs: timing.queueMs,
    firstTokenMs,
    totalMs,
  };
}

function claim(parts: GeneratorParts, model: string | undefined, reqId: string): Route {
  try {
    return parts.router.route(model);
  } catch (error) {
    const code = error instanceof HearthError ? error.code : 'internal';
    parts.record('warn', 'router', { msg: 'request_rejected', req_id: reqId, code });
    throw error;
  }
}

/** @throws HearthError `attachment_unsupported` where the engine cannot look at what a message brings. */
function refuseMedia(
  parts: GeneratorParts,
  route: Route,
  { input }: ResolvedGeneration,
  reqId: string,
): void {
  if (input.kind !== 'chat') return;
  const media = input.messages.flatMap(({ content }) => content.filter((block) => block.kind === 'media'));
  const { vision } = route.engine.capabilities;
  if (media.every(({ medium }) => medium === 'image' && vision)) return;
  route.settle('neutral');
  const code = 'attachment_unsupported';
  parts.record('warn', 'router', { msg: 'request_rejected', req_id: reqId, code });
  throw new HearthError(
    code,
    vision
      ? 'This model looks at images only.'
      : 'This model reads text only. Leave out attachments, or name another model.',
  );
}

function recordFailure(
  parts: GeneratorParts,
  reqId: string,
  stream: LiveStream,
  backend: string,
  error: unknown,
): void {
  if (stream.tokens > 0) {
    parts.record('warn', 'router', { msg: 'request_error_mid_stream', req_id: reqId, backend });
    return;
  }
  const { code } = failureToError(error);
  parts.record('warn', 'router', { msg: 'request_error_pre_stream', req_id: reqId, backend, code });
}

function recordEnd(
  parts: GeneratorParts,
  reqId: string,
  stream: LiveStream,
  backend: string,
  end: DoneChunk,
  timing: { readonly queueMs: number; readonly firstTokenMs: number | undefined; readonly totalMs: number },
): void {
  if (end.stopReason === 'cancelled') {
    parts.record('info', 'router', cancelledEvent(reqId, stream));
    return;
  }
  parts.record('info', 'router', {
    msg: 'request_done',
    req_id: reqId,
    backend,
    stop_reason: end.stopReason,
    prompt_tokens: end.usage.prompt_tokens,
    completion_tokens: end.usage.completion_tokens,
    queue_ms: timing.queueMs,
    ...(timing.firstTokenMs === undefined ? {} : { first_token_ms: timing.firstTokenMs }),
    total_ms: timing.totalMs,
  });
}

function cancelledEvent(reqId: string, stream: LiveStream) {
  return {
    msg: 'request_cancelled',
    req_id: reqId,
    stage: stream.stage,
    completion_tokens: stream.tokens,
    ...(stream.backend === undefined ? {} : { backend: stream.backend }),
  } as const;
}

function cancelledWith(tokens: number): DoneChunk {
  const usage = { prompt_tokens: 0, completion_tokens: tokens };
  return { kind: 'done', stopReason: 'cancelled', usage };
}

function cancelledInQueue(waitedMs: number): GenerationEvent {
  return {
    kind: 'done',
    text: '',
    usage: { prompt_tokens: 0, completion_tokens: 0 },
    stopReason: 'cancelled',
    backend: '',
    queueMs: Math.round(waitedMs),
    firstTokenMs: undefined,
    totalMs: Math.round(waitedMs),
  };
}
