import { EventEmitter } from 'node:events';
import type { GenerateRequest, Health, ModelInfo } from '@hearth/protocol';
import { noChannels } from '../channels/no-channels.js';
import type { Caller, DaemonApi, DaemonEvents, GenerationEvent } from '../daemon-api.js';
import type { DocumentText } from './document-text.js';
import { createCompletionSession, type Answer, type CompletionSession, type Trigger } from './session.js';

/** A generation of the daemon of a test, which gives what the test tells it to. */
export interface ScriptedGeneration {
  readonly request: GenerateRequest;
  readonly caller: Caller;
  readonly signal: AbortSignal;
  readonly give: (text: string) => void;
  readonly end: () => void;
  readonly fail: (error: Error) => void;
}

/** A daemon whose generations a test answers by hand, or all with `answer`. */
export interface ScriptedDaemon extends DaemonApi {
  readonly generations: ScriptedGeneration[];
  answer: ((request: GenerateRequest) => string) | undefined;
  /** How likely each token was, for requests that ask it. */
  logprob: number;
  model: Partial<ModelInfo> | 'none' | 'loading';
  admission: Health['admission'];
}

export function scriptedDaemon(): ScriptedDaemon {
  const daemon: ScriptedDaemon = {
    events: new EventEmitter<DaemonEvents>(),
    generations: [],
    answer: undefined,
    logprob: -0.5,
    model: {},
    admission: { activePermits: 4, permitsInUse: 0, queueDepth: 10, queued: 0 },
    health: () => healthOf(daemon),
    streams: () => [],
    recentActivity: () => [],
    generate: (request, caller, signal) => play(daemon, request, caller, signal),
    countTokens: (texts) => Promise.resolve(texts.map(({ length }) => length)),
    channels: noChannels,
    answerTyped: unasked,
    render: unasked,
    build: { version: '0.0.0', builtAt: 0 },
    drain: () => {},
    cancelStream: () => false,
  };
  return daemon;
}

function unasked(): Promise<never> {
  return Promise.reject(new Error('nobody asks this'));
}

async function* play(
  daemon: ScriptedDaemon,
  request: GenerateRequest,
  caller: Caller,
  signal: AbortSignal,
): AsyncGenerator<GenerationEvent> {
  const pieces: (string | Error)[] = [];
  let wake = (): void => {};
  const push = (piece: string | Error): void => {
    pieces.push(piece);
    wake();
  };
  const end = '\0end';
  signal.addEventListener('abort', () => wake(), { once: true });
  daemon.generations.push({
    request,
    caller,
    signal,
    give: push,
    end: () => push(end),
    fail: push,
  });
  if (daemon.answer !== undefined) pieces.push(daemon.answer(request), end);
  let text = '';
  for (;;) {
    const piece = pieces.shift();
    if (signal.aborted || piece === end) break;
    if (piece instanceof Error) throw piece;
    if (piece === undefined) {
      await new Promise<void>((resolve) => (wake = resolve));
      continue;
    }
    text += piece;
    const scored = { token: 0, text: piece, logprob: daemon.logprob, alternatives: [] };
    yield { kind: 'token', text: piece, ...(request.logprobs === undefined ? {} : { logprobs: [scored] }) };
  }
  const files = (request.files ?? []).reduce((sum, { content }) => sum + content.length, 0);
  const units = (request.prompt?.length ?? 0) + (request.suffix?.length ?? 0) + files;
  yield {
    kind: 'done',
    text,
    usage: { prompt_tokens: Math.round(units / 3), completion_tokens: 1 },
    stopReason: signal.aborted ? 'cancelled' : 'end',
    backend: 'scripted',
    queueMs: 0,
    firstTokenMs: undefined,
    totalMs: 1,
  };
}

function healthOf({ model, admission }: ScriptedDaemon): Health {
  const info: ModelInfo = {
    id: 'm',
    displayName: 'M',
    contextSize: 4096,
    sizeBytes: 1,
    infill: true,
    ...(typeof model === 'string' ? {} : model),
  };
  return {
    state: 'ready',
    version: '0.0.0',
    pid: 1,
    uptimeMs: 0,
    adminSocketPath: 'admin.sock',
    logPath: 'activity.ndjson',
    backends: [
      {
        name: 'scripted',
        state: { kind: model === 'loading' ? 'starting' : 'ready' },
        breaker: 'closed',
        ...(typeof model === 'string' ? {} : { model: info }),
      },
    ],
    admission,
  };
}

/** A document whose whole text is at hand. @param read it as it is now */
export function liveText(read: () => string): DocumentText {
  return {
    get length() {
      return read().length;
    },
    slice: (from, to) => read().slice(from, to),
  };
}

/** A document in an editor, driven as a person would: it types, deletes, moves and waits for ghost text. */
export class Typist {
  readonly session: CompletionSession;
  readonly uri: string;
  text: string;
  cursor: number;

  /** @param marked the document with `▌` where the cursor stands */
  constructor(session: CompletionSession, marked: string, uri = 'test:/a.ts', language = 'typescript') {
    this.session = session;
    this.uri = uri;
    this.cursor = marked.indexOf('▌');
    this.text = marked.replace('▌', '');
    session.opened(
      uri,
      language,
      liveText(() => this.text),
    );
  }

  /** Types, and moves behind it. @param behind what the editor writes behind the cursor by itself */
  type(inserted: string, behind = ''): void {
    const before = this.cursor;
    this.text = this.text.slice(0, before) + inserted + behind + this.text.slice(before);
    this.cursor += inserted.length;
    this.session.changed(this.uri, before, 0, inserted + behind);
  }

  delete(count: number): void {
    this.cursor -= count;
    this.text = this.text.slice(0, this.cursor) + this.text.slice(this.cursor + count);
    this.session.changed(this.uri, this.cursor, count, '');
  }

  ask(more: Partial<Trigger> = {}, signal: AbortSignal = new AbortController().signal): Promise<Answer> {
    return this.session.ask({ uri: this.uri, offset: this.cursor, invoked: false, ...more }, signal);
  }
}

/** A session on the timers of the test. */
export function sessionOf(daemon: DaemonApi): CompletionSession {
  return createCompletionSession(daemon, 'peer', {
    now: () => Date.now(),
    pause: (ms, signal) =>
      new Promise((resolve) => {
        const timer = setTimeout(done, ms);
        function done(): void {
          clearTimeout(timer);
          resolve();
        }
        signal.addEventListener('abort', done, { once: true });
      }),
  });
}
