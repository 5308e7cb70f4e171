import {
  ActivityAppended,
  asks,
  CancelStreamRequest,
  ChannelFrameNotification,
  ChannelRequestMessage,
  CountTokensRequest,
  DrainingNotification,
  GenerateRequestMessage,
  GhostTextTold,
  HealthChanged,
  ModelsRequest,
  BestModelRequest,
  PullModelRequest,
  StreamsChanged,
  SubscribeRequest,
  SwitchModelRequest,
  type ActivityRecord,
  type ChannelFrame,
  type GhostTextOutcome,
  type Health,
  type StreamInfo,
} from '@hearth/protocol';
import { LogLevel, type LogOutputChannel } from 'vscode';
import {
  CancellationTokenSource,
  CloseAction,
  ErrorAction,
  LanguageClient,
  LSPErrorCodes,
  ResponseError,
  RevealOutputChannelOn,
  type CancellationToken,
  type Middleware,
  type ProgressType,
} from 'vscode-languageclient/node';
import {
  endChild,
  endOfChild,
  startChild,
  type ChildEnd,
  type SidecarChild,
  type SidecarCommand,
} from './child.js';
import { answeredKinds, askPerson } from '../questions/questions.js';
import { HearthFailure, type HearthConnection } from './hearth-connection.js';
import type { Session, SessionEnd } from './supervisor.js';

/** What a session tells of its sidecar, as it comes. */
export interface SessionListener {
  readonly onHealth: (health: Health) => void;
  readonly onStreams: (streams: readonly StreamInfo[]) => void;
  /** @param replayed Whether these records are of the time before this session. */
  readonly onActivity: (records: readonly ActivityRecord[], replayed: boolean) => void;
}

/** One life of the sidecar, and the way to ask things of it. */
export type SidecarSession = Session & HearthConnection;

/** Time that a sidecar has to answer `shutdown`, in milliseconds. */
const shutdownMs = 2000;

/**
 * Starts a sidecar and speaks LSP with it. Each life gets a language client of its own: a client that has lost
 * its server has no way back that is better than a new one. It never shows a message by itself; what became of
 * the process is told by {@link Session.ended} alone.
 */
export function startSession(
  command: SidecarCommand,
  log: LogOutputChannel,
  middleware: Middleware,
  listener: SessionListener,
  onGhostText: (outcomes: readonly GhostTextOutcome[]) => void,
  onDownloadApproved: (model: string) => void,
): SidecarSession {
  let message: string | undefined;
  const child = startChild(command, (line) => {
    log.info(line);
    if (line.startsWith('hearth: ')) message = line.slice('hearth: '.length);
  });
  const childEnd = endOfChild(child);
  const client = makeClient(child, log, middleware);
  let asked = false;
  let draining = false;
  let replayed = true;

  client.onNotification(HealthChanged.type, listener.onHealth);
  client.onNotification(StreamsChanged.type, ({ streams }) => listener.onStreams(streams));
  client.onNotification(ActivityAppended.type, ({ records }) => {
    listener.onActivity(records, replayed);
    replayed = false;
  });
  client.onNotification(GhostTextTold.type, ({ outcomes }) => onGhostText(outcomes));
  client.onNotification(ChannelFrameNotification.type, (frame) => {
    if (frame.type === 'push') void answer(client, frame, onDownloadApproved);
  });
  client.onNotification(DrainingNotification.type, () => {
    draining = true;
  });

  const running = client
    .start()
    .then(() => client.sendRequest(SubscribeRequest.type, { channels: ['health', 'streams', 'activity'] }))
    .then(() =>
      // A daemon of an earlier build does not know this channel, and serves all the same.
      client.sendRequest(SubscribeRequest.type, { channels: ['ghost_text'] }).catch(() => null),
    )
    .then(() =>
      client
        .sendRequest(ChannelRequestMessage.type, { type: 'handle', kinds: [...answeredKinds] })
        .catch(() => null),
    )
    .catch((error: unknown) => {
      log.warn(`The connection to the sidecar could not be made: ${nameOf(error)}.`);
      child.kill();
    });

  let parted = (): void => {};
  const left = new Promise<'left'>((resolve) => {
    parted = () => resolve('left');
  });
  const ended = Promise.race([left, childEnd]).then(async (end): Promise<SessionEnd> => {
    await running;
    await client.dispose(0).catch(() => {});
    if (end === 'left' || asked) return { kind: 'asked' };
    return draining ? { kind: 'drained' } : withMessage(end, message);
  });

  return {
    ...requests(client),
    ended,
    stop: (how) => {
      if (asked) return;
      asked = true;
      // `stop` says shutdown and exit. A sidecar lingers after that, for windows that are only being reloaded.
      const saidGoodbye = running.then(() => client.stop(shutdownMs)).catch(() => {});
      if (how === 'leave') {
        void saidGoodbye.then(() => {
          child.stdin.end();
          child.unref();
          parted();
        });
      } else {
        void saidGoodbye.then(() => endChild(child, childEnd));
      }
    },
  };
}

/** Asks the person what another program wants to know, and hands on the answer. Late answers are nobody's loss. */
async function answer(
  client: LanguageClient,
  { correlation, kind, question }: Extract<ChannelFrame, { type: 'push' }>,
  onDownloadApproved: (model: string) => void,
): Promise<void> {
  const body = await askPerson(kind, question);
  await client
    .sendRequest(ChannelRequestMessage.type, { type: 'reply', correlation, body })
    .catch(() => null);
  if (kind !== 'confirm_download' || !body.approved) return;
  const { data } = asks.confirm_download.question.safeParse(question);
  if (data !== undefined) onDownloadApproved(data.model);
}

function makeClient(child: SidecarChild, log: LogOutputChannel, middleware: Middleware): LanguageClient {
  const transports = { reader: child.stdout, writer: child.stdin, detached: true };
  return new LanguageClient('hearth', 'Hearth', () => Promise.resolve(transports), {
    documentSelector: [
      { scheme: 'file' },
      { scheme: 'untitled' },
      { scheme: 'vscode-remote' },
      { scheme: 'vscode-userdata' },
      { scheme: 'vscode-notebook-cell' },
    ],
    textSynchronization: { delayOpenNotifications: true },
    outputChannel: log,
    traceOutputChannel: neverTracing(log),
    revealOutputChannelOn: RevealOutputChannelOn.Never,
    initializationFailedHandler: () => false,
    errorHandler: {
      error: () => ({ action: ErrorAction.Continue, handled: true, message: 'A message could not be sent.' }),
      closed: () => ({ action: CloseAction.DoNotRestart, handled: true, message: 'The sidecar has gone.' }),
    },
    middleware,
  });
}

/**
 * `log` as a channel that never traces. At the trace level, and with a setting that we do not declare, the client
 * would write whole messages there, and messages hold what people type.
 */
function neverTracing(log: LogOutputChannel): LogOutputChannel {
  return Object.create(log, {
    logLevel: { value: LogLevel.Info },
    onDidChangeLogLevel: { value: () => ({ dispose: () => undefined }) },
    trace: { value: () => undefined },
  }) as LogOutputChannel;
}

/** Numbers progress tokens, so that no two generations of this editor share one. */
let generations = 0;

function requests(client: LanguageClient): HearthConnection {
  return {
    generate: async (params, onText, signal, onOther) => {
      if (signal.aborted) return { kind: 'cancelled' };
      const progressToken = `generate-${(generations += 1)}`;
      const progress = client.onProgress(
        GenerateRequestMessage.progress,
        progressToken,
        ({ content, ...other }) => {
          if (signal.aborted) return;
          if (content !== '') onText(content);
          else onOther?.(other);
        },
      );
      const cancellation = new CancellationTokenSource();
      const abort = (): void => cancellation.cancel();
      signal.addEventListener('abort', abort, { once: true });
      try {
        const request = { ...params, progressToken };
        const result = await client.sendRequest(GenerateRequestMessage.type, request, cancellation.token);
        return result.stopReason === 'cancelled' ? { kind: 'cancelled' } : { kind: 'done', result };
      } catch (error) {
        if (isCancelled(error)) return { kind: 'cancelled' };
        throw toFailure(error);
      } finally {
        signal.removeEventListener('abort', abort);
        progress.dispose();
        cancellation.dispose();
      }
    },
    countTokens: async (texts, model) => {
      try {
        const params = { texts, ...(model === undefined ? {} : { model }) };
        return (await client.sendRequest(CountTokensRequest.type, params)).counts;
      } catch (error) {
        throw toFailure(error);
      }
    },
    cancelStream: async (streamId) => {
      try {
        return (await client.sendRequest(CancelStreamRequest.type, { streamId })).found;
      } catch (error) {
        throw toFailure(error);
      }
    },
    ...modelRequests(client),
  };
}

function modelRequests(
  client: LanguageClient,
): Pick<HearthConnection, 'listModels' | 'bestModel' | 'pullModel' | 'switchModel'> {
  return {
    listModels: async () => {
      try {
        return await client.sendRequest(ModelsRequest.type);
      } catch (error) {
        throw toFailure(error);
      }
    },
    bestModel: (onProgress, signal) =>
      withProgress(client, BestModelRequest.progress, onProgress, signal, (progressToken, token) =>
        client.sendRequest(BestModelRequest.type, { progressToken }, token),
      ),
    pullModel: (source, onProgress, signal) =>
      withProgress(client, PullModelRequest.progress, onProgress, signal, (progressToken, token) =>
        client.sendRequest(PullModelRequest.type, { source, progressToken }, token),
      ),
    switchModel: async (name, onProgress, signal) => {
      const switched = await withProgress(
        client,
        SwitchModelRequest.progress,
        onProgress,
        signal,
        (progressToken, token) => client.sendRequest(SwitchModelRequest.type, { name, progressToken }, token),
      );
      return switched !== undefined;
    },
  };
}

/** A request that tells how far it is and can be cancelled. Undefined: it was. */
async function withProgress<P, R>(
  client: LanguageClient,
  type: ProgressType<P>,
  onProgress: (progress: P) => void,
  signal: AbortSignal,
  send: (progressToken: string, token: CancellationToken) => Promise<R>,
): Promise<R | undefined> {
  if (signal.aborted) return undefined;
  const progressToken = `models-${(generations += 1)}`;
  const progress = client.onProgress(type, progressToken, onProgress);
  const cancellation = new CancellationTokenSource();
  const abort = (): void => cancellation.cancel();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await send(progressToken, cancellation.token);
  } catch (error) {
    if (isCancelled(error)) return undefined;
    throw toFailure(error);
  } finally {
    signal.removeEventListener('abort', abort);
    progress.dispose();
    cancellation.dispose();
  }
}

function isCancelled(error: unknown): boolean {
  return error instanceof ResponseError && error.code === LSPErrorCodes.RequestCancelled;
}

/** The sidecar's own words where it answered; else that it has gone, which is the one other thing that happens. */
function toFailure(error: unknown): HearthFailure {
  if (!(error instanceof ResponseError))
    return new HearthFailure('The sidecar has gone. It is being restarted.');
  return new HearthFailure(error.message, codeOf(error.data));
}

function codeOf(data: unknown): string | undefined {
  if (typeof data !== 'object' || data === null || !('code' in data)) return undefined;
  return typeof data.code === 'string' ? data.code : undefined;
}

function withMessage(end: ChildEnd, message: string | undefined): SessionEnd {
  return end.kind === 'exited' ? { ...end, message } : end;
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : 'unknown';
}
