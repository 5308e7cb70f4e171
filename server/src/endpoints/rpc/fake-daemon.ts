import { EventEmitter } from 'node:events';
import type {
  ActivityRecord,
  BackendHealth,
  GenerateRequest,
  Health,
  ModelInfo,
  StreamInfo,
} from '@hearth/protocol';
import { HearthError } from '@hearth/protocol';
import { noChannels } from '../../channels/no-channels.js';
import type { Caller, DaemonApi, DaemonEvents, GenerationEvent } from '../../daemon-api.js';

/** One call of `generate`, as a test sees and steers it. */
export interface FakeGeneration {
  readonly request: GenerateRequest;
  readonly caller: Caller;
  readonly signal: AbortSignal;
  /** Tokens that were taken from the fake so far. */
  taken: number;
  /** Whether the iteration has ended, in whatever way. */
  ended: boolean;
}

/** What a {@link fakeDaemon} answers. */
export interface FakeScript {
  /** The texts of each generation, or what it throws. @default ['one', ' two'] */
  generate?: (generation: FakeGeneration) => AsyncIterable<string> | Iterable<string>;
  countTokens?: (texts: readonly string[]) => Promise<readonly number[]>;
  model?: Partial<ModelInfo> | 'none';
}

/** A {@link DaemonApi} for tests: scripted text, recorded calls, no engine. */
export interface FakeDaemon extends DaemonApi {
  readonly generations: FakeGeneration[];
  readonly cancelled: string[];
  /** What {@link DaemonApi.health} and {@link DaemonApi.streams} say; a change is announced with `events`. */
  current: { health: Health; streams: readonly StreamInfo[] };
}

export function fakeDaemon(script: FakeScript = {}): FakeDaemon {
  const events = new EventEmitter<DaemonEvents>();
  const records: ActivityRecord[] = [];
  events.on('activity', (record) => records.push(record));
  const generations: FakeGeneration[] = [];
  const cancelled: string[] = [];
  const current = { health: fakeHealth(script.model), streams: [] as readonly StreamInfo[] };
  return {
    events,
    generations,
    cancelled,
    current,
    health: () => current.health,
    streams: () => current.streams,
    recentActivity: () => records,
    generate: (request, caller, signal) => {
      const generation: FakeGeneration = { request, caller, signal, taken: 0, ended: false };
      generations.push(generation);
      return run(generation, script.generate ?? (() => ['one', ' two']));
    },
    countTokens: script.countTokens ?? ((texts) => Promise.resolve(texts.map((text) => text.length))),
    channels: noChannels,
    answerTyped: () => Promise.reject(new HearthError('unsupported_parameter', 'The fake only generates.')),
    render: () => Promise.reject(new HearthError('unsupported_parameter', 'The fake only generates.')),
    build: { version: '0.0.0', builtAt: 1 },
    drain: () => events.emit('draining'),
    cancelStream: (id) => {
      cancelled.push(id);
      return id === 'known';
    },
  };
}

async function* run(
  generation: FakeGeneration,
  texts: NonNullable<FakeScript['generate']>,
): AsyncGenerator<GenerationEvent> {
  let text = '';
  try {
    for await (const piece of texts(generation)) {
      if (generation.signal.aborted) break;
      text += piece;
      generation.taken += 1;
      yield { kind: 'token', text: piece };
    }
    yield {
      kind: 'done',
      text,
      usage: { prompt_tokens: 3, completion_tokens: generation.taken },
      stopReason: generation.signal.aborted ? 'cancelled' : 'end',
      backend: 'fake',
      queueMs: 0,
      firstTokenMs: undefined,
      totalMs: 1,
    };
  } finally {
    generation.ended = true;
  }
}

export function fakeHealth(model: Partial<ModelInfo> | 'none' = {}): Health {
  const backend: BackendHealth = {
    name: 'fake',
    state: { kind: 'ready' },
    breaker: 'closed',
    ...(model === 'none'
      ? {}
      : {
          model: {
            id: 'fake-model',
            displayName: 'Fake',
            contextSize: 1024,
            sizeBytes: 1,
            infill: true,
            ...model,
          },
        }),
  };
  return {
    state: 'ready',
    version: '0.0.0',
    pid: 1,
    uptimeMs: 0,
    adminSocketPath: 'admin.sock',
    logPath: 'activity.ndjson',
    backends: [backend],
    admission: { activePermits: 4, permitsInUse: 0, queueDepth: 10, queued: 0 },
  };
}
