import { randomUUID } from 'node:crypto';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import {
  CancelStreamRequest,
  CountTokensRequest,
  DrainingNotification,
  DrainRequest,
  GenerateRequestMessage,
  HealthRequest,
  HearthError,
  HelloRequest,
  isJsonObject,
  limits,
  SubscribeRequest,
  wireVersion,
  type ErrorData,
} from '@hearth/protocol';
import { createMessageConnection, Message, type ResponseError } from 'vscode-jsonrpc/node';
import {
  CompletionRequest,
  DidChangeTextDocumentNotification,
  DidCloseTextDocumentNotification,
  DidOpenTextDocumentNotification,
  ErrorCodes,
  ExitNotification,
  InitializeRequest,
  InlineCompletionRequest,
  LogMessageNotification,
  MessageType,
  PositionEncodingKind,
  ShutdownRequest,
  TextDocumentSyncKind,
  type InitializeResult,
  type InlineCompletionItem,
  type RequestType,
  type RequestType0,
  type ResponseMessage,
} from 'vscode-languageserver';
import * as z from 'zod';
import { createCompletionSession } from '../../completion/session.js';
import type { DaemonApi } from '../../daemon-api.js';
import { check, createWork, refusal } from './answer.js';
import { BoundedMessageWriter } from './bounded-message-writer.js';
import { BoundedMessageReader, type BadBody } from './bounded-reader.js';
import { changedSchema, closedSchema, createDocuments, openedSchema } from './documents.js';
import { generate, generateParamsSchema } from './generate.js';
import { farewellMs, hangUp, within } from './hang-up.js';
import {
  asCompletionList,
  asInlineQuery,
  completionOptions,
  completionSchema,
  wantsCompletionList,
} from './completion.js';
import { inlineCompletion, inlineCompletionSchema, type InlineCompletionQuery } from './inline-completion.js';
import { Intake } from './intake.js';
import { serveChannels } from './channels.js';
import { serveModels } from './models.js';
import { createSubscriptions, subscribeSchema } from './subscriptions.js';

/** One JSON-RPC connection that is being served. */
export interface RpcConnection {
  /** Resolves once, when the connection has ended, however it ended. All its work is aborted by then. */
  readonly closed: Promise<RpcClose>;
  /** Ends the connection at once and aborts its work. What was written goes out first, if the peer reads it soon. */
  readonly dispose: () => void;
  /**
   * Ends the connection in peace: reads no more, lets what runs be answered, and resolves when the peer has taken the
   * answers and the streams are gone. Each of the two is waited for no longer than a second.
   */
  readonly end: () => Promise<void>;
}

/** How a connection ended: the peer asked, went, broke the framing, or did not read; or we ended it. */
export type RpcClose = 'exit' | 'disconnected' | 'refused' | 'slow' | 'disposed';

export interface RpcOptions {
  /** How long a message may wait for the peer to read, in milliseconds; 0: for ever. @default 60000 */
  readonly writeTimeoutMs?: number;
}

/** Answers a request with the parameters as they came: by name, or none. */
type Handler<R> = (params: unknown, signal: AbortSignal) => MaybeRefused<R> | Promise<MaybeRefused<R>>;
type MaybeRefused<R> = R | ResponseError<ErrorData>;

const countTokensSchema = z.object({
  texts: z.array(z.string()).max(limits.countTexts),
  model: z.string().min(1).max(256).optional(),
});
const cancelStreamSchema = z.object({ streamId: z.string().max(256) });

/**
 * Serves one peer over a pair of streams: a genuine LSP 3.18 connection with ghost text as
 * `textDocument/inlineCompletion`, and the `hearth/*` messages beside it. The latter need no `initialize`, so
 * that a command-line tool can ask for health without posing as an editor.
 *
 * Many of these live at once in one process. None ends the process, and none affects another: `exit`, a close and
 * a broken frame end this connection only. A peer that does not read is not read from beyond a bound, and loses its
 * connection, and the work it holds, after the write timeout.
 */
export function serveRpc(
  input: Readable,
  output: Writable,
  daemon: DaemonApi,
  options: RpcOptions = {},
): RpcConnection {
  const intake = new Intake();
  const writer = new BoundedMessageWriter(output, {
    writeTimeoutMs: options.writeTimeoutMs,
    onAnswered: (id) => intake.release(id),
  });
  const onBadBody = (why: BadBody): void => {
    const response: ResponseMessage = { jsonrpc: '2.0', id: null, error: badBodies[why].toJson() };
    intake.hold(response);
    void ignoreFailure(writer.write(response)).then(() => intake.release(response));
  };
  const reader = new BoundedMessageReader(input, intake, onBadBody, (uri) => documents.tooLarge(uri));
  const connection = createMessageConnection(reader, writer, undefined, {
    messageStrategy: {
      handleMessage: (message, next) => {
        if (Message.isNotification(message)) intake.release(message);
        return next(message);
      },
    },
  });
  const work = createWork();
  const peer = `rpc:${randomUUID()}`;
  const session = createCompletionSession(daemon, peer, { now: () => performance.now(), pause });
  const documents = createDocuments(session);
  const subscriptions = createSubscriptions(connection, daemon);
  let phase: 'new' | 'initialized' | 'shut_down' = 'new';

  // One way in for every method, since the connection's own errors quote what the peer sent.
  const requests = new Map<string, Handler<unknown>>();
  function answer<P, R, E>(type: RequestType<P, R, E> | RequestType0<R, E>, handler: Handler<R>): void {
    requests.set(type.method, handler);
  }
  connection.onRequest((method, params: unknown, token) => {
    const handler = requests.get(method);
    if (handler === undefined) return refusal(ErrorCodes.MethodNotFound, 'This method is not known here.');
    if (params !== undefined && params !== null && !isJsonObject(params)) {
      return refusal(ErrorCodes.InvalidParams, 'Parameters are given by name, in one object.');
    }
    return work.run(token, (signal) => handler(params, signal));
  });
  const notifications = new Map<string, (params: unknown) => void>([
    [ExitNotification.method, () => close('exit')],
    [DidOpenTextDocumentNotification.method, (params) => documents.opened(check(openedSchema, params))],
    [DidChangeTextDocumentNotification.method, (params) => documents.changed(check(changedSchema, params))],
    [DidCloseTextDocumentNotification.method, (params) => documents.closed(check(closedSchema, params))],
  ]);
  // What is not known, and what is wrong, is ignored: a notification has no answer.
  connection.onNotification((method, params) => notifications.get(method)?.(params));

  answer(InitializeRequest.type, (params) => {
    phase = 'initialized';
    return initializeResult(daemon.health().version, wantsCompletionList(params));
  });
  answer(ShutdownRequest.type, () => {
    phase = 'shut_down';
  });
  async function ghostText(
    query: InlineCompletionQuery,
    signal: AbortSignal,
  ): Promise<InlineCompletionItem[]> {
    const { items, outcome } = await inlineCompletion(session, documents, query, signal);
    subscriptions.told(outcome);
    if (outcome.kind === 'none' && !signal.aborted) {
      const rule = outcome.rule === undefined ? '' : ` (${outcome.rule})`;
      const message = `No ghost text: ${outcome.reason}${rule}.`;
      void ignoreFailure(
        connection.sendNotification(LogMessageNotification.type, { type: MessageType.Debug, message }),
      );
    }
    return [...items];
  }
  answer(InlineCompletionRequest.type, (params, signal) =>
    phase === 'initialized' ? ghostText(check(inlineCompletionSchema, params), signal) : outOfOrder(phase),
  );
  answer(CompletionRequest.type, async (params, signal) => {
    if (phase !== 'initialized') return outOfOrder(phase);
    const query = check(completionSchema, params);
    const items = await ghostText(asInlineQuery(query), signal);
    const document = documents.get(query.textDocument.uri);
    return typeof document === 'object' ? asCompletionList(document, query, items) : [];
  });

  answer(HelloRequest.type, () => ({ wireVersion, build: daemon.build, pid: process.pid }));
  answer(DrainRequest.type, () => {
    // After the answer: the end of the connection must not overtake it.
    setImmediate(() => {
      daemon.drain();
    });
    return null;
  });
  answer(HealthRequest.type, () => daemon.health());
  answer(SubscribeRequest.type, (params) => {
    for (const channel of check(subscribeSchema, params).channels) subscriptions.add(channel);
    return null;
  });
  answer(GenerateRequestMessage.type, (params, signal) =>
    generate(connection, daemon, peer, check(generateParamsSchema, params), signal),
  );
  answer(CountTokensRequest.type, async (params) => {
    const { texts, model } = check(countTokensSchema, params);
    return { counts: await daemon.countTokens(texts, model) };
  });
  answer(CancelStreamRequest.type, (params) => ({
    found: daemon.cancelStream(check(cancelStreamSchema, params).streamId),
  }));

  const endModels = serveModels(answer, connection, daemon);
  const channels = serveChannels(answer, connection, daemon.channels, () => close('refused'));
  const draining = (): void => {
    void ignoreFailure(connection.sendNotification(DrainingNotification.type));
    void channels.farewell('draining');
  };
  daemon.events.on('draining', draining);

  let settle: (how: RpcClose) => void;
  const ended = new Promise<RpcClose>((resolve) => {
    settle = resolve;
  });
  let gone: Promise<void> | undefined;
  function close(how: RpcClose): void {
    if (gone !== undefined) return;
    daemon.events.off('draining', draining);
    endModels();
    subscriptions.dispose();
    channels.dispose();
    session.dispose();
    work.abort();
    connection.dispose();
    gone = hangUp(input, output);
    settle(how);
  }
  async function end(): Promise<void> {
    intake.stop();
    await within(farewellMs, Promise.race([intake.idle(), ended]));
    close('disposed');
    await gone;
  }
  connection.onClose(() => close('disconnected'));
  connection.onError(([error]) => {
    if (error instanceof HearthError) close(error.code === 'slow_consumer' ? 'slow' : 'refused');
  });
  connection.listen();
  return { closed: ended, dispose: () => close('disposed'), end };
}

const badBodies: Record<BadBody, ResponseError<ErrorData>> = {
  not_json: refusal(ErrorCodes.ParseError, 'The message is not a JSON-RPC 2.0 object, or too complex.'),
  not_served: refusal(
    ErrorCodes.InvalidRequest,
    'The message has no method, or its id is in use, too long, or neither text nor number.',
  ),
};

function initializeResult(version: string, completionList: boolean): InitializeResult {
  return {
    capabilities: {
      // Editors that would rather count otherwise offer this one as well, since the protocol wants it of all.
      positionEncoding: PositionEncodingKind.UTF16,
      textDocumentSync: { openClose: true, change: TextDocumentSyncKind.Incremental },
      inlineCompletionProvider: true,
      ...(completionList ? { completionProvider: completionOptions } : {}),
    },
    serverInfo: { name: 'hearth', version },
  };
}

function outOfOrder(phase: 'new' | 'shut_down'): ResponseError<ErrorData> {
  return phase === 'new'
    ? refusal(ErrorCodes.ServerNotInitialized, 'Send initialize first.')
    : refusal(ErrorCodes.InvalidRequest, 'This connection was shut down.');
}

/** Waits, but not past an abort. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}

/** For messages whose loss matters to nobody but a peer that is gone. */
async function ignoreFailure(sent: Promise<void>): Promise<void> {
  try {
    await sent;
  } catch {
    // The close of the connection, which follows, is how a lost peer is dealt with.
  }
}
