import { randomUUID } from 'node:crypto';
import type { Readable, Writable } from 'node:stream';
import {
  CancelStreamRequest,
  CountTokensRequest,
  DrainingNotification,
  DrainRequest,
  GenerateRequestMessage,
  HealthRequest,
  HearthError,
  HelloRequest,
  limits,
  SubscribeRequest,
  wireVersion,
} from '@hearth/protocol';
import {
  createMessageConnection,
  ResponseError,
  StreamMessageWriter,
  type CancellationToken,
} from 'vscode-jsonrpc/node';
import {
  DidChangeTextDocumentNotification,
  DidCloseTextDocumentNotification,
  DidOpenTextDocumentNotification,
  ErrorCodes,
  ExitNotification,
  InitializeRequest,
  InlineCompletionRequest,
  LogMessageNotification,
  MessageType,
  ShutdownRequest,
  TextDocumentSyncKind,
  type InitializeResult,
  type ResponseMessage,
} from 'vscode-languageserver';
import { z } from 'zod';
import type { DaemonApi } from '../../daemon-api.js';
import { check, createWork } from './answer.js';
import { BoundedMessageReader } from './bounded-reader.js';
import { createDocuments } from './documents.js';
import { generate, generateParamsSchema } from './generate.js';
import { createGhostTexts, inlineCompletionSchema } from './inline-completion.js';
import { createSubscriptions, subscribeSchema } from './subscriptions.js';

/** One JSON-RPC connection that is being served. */
export interface RpcConnection {
  /** Resolves once, when the connection has ended, however it ended. All its work is aborted by then. */
  readonly closed: Promise<RpcClose>;
  /** Ends the connection and aborts its work. Messages that were sent before are written out first. */
  readonly dispose: () => void;
}

/** How a connection ended: the peer asked, the peer went, the peer broke the framing, or we ended it. */
export type RpcClose = 'exit' | 'disconnected' | 'refused' | 'disposed';

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
 * a broken frame end this connection only.
 */
export function serveRpc(input: Readable, output: Writable, daemon: DaemonApi): RpcConnection {
  const writer = new StreamMessageWriter(output);
  const reader = new BoundedMessageReader(input, () => {
    const error = { code: ErrorCodes.ParseError, message: 'The message is not a JSON-RPC 2.0 object.' };
    const response: ResponseMessage = { jsonrpc: '2.0', id: null, error };
    void ignoreFailure(writer.write(response));
  });
  const connection = createMessageConnection(reader, writer);
  const work = createWork();
  const documents = createDocuments();
  const peer = `rpc:${randomUUID()}`;
  const ghostTexts = createGhostTexts(daemon, peer, documents);
  const subscriptions = createSubscriptions(connection, daemon);
  let phase: 'new' | 'initialized' | 'shut_down' = 'new';

  connection.onRequest(InitializeRequest.type, () => {
    phase = 'initialized';
    return initializeResult(daemon.health().version);
  });
  connection.onRequest(ShutdownRequest.type, () => {
    phase = 'shut_down';
  });
  connection.onNotification(ExitNotification.type, () => close('exit'));
  connection.onNotification(DidOpenTextDocumentNotification.type, documents.opened);
  connection.onNotification(DidChangeTextDocumentNotification.type, documents.changed);
  connection.onNotification(DidCloseTextDocumentNotification.type, documents.closed);

  connection.onRequest(InlineCompletionRequest.method, (params: unknown, token: CancellationToken) => {
    if (phase !== 'initialized') return outOfOrder(phase);
    return work.run(token, async (signal) => {
      const outcome = await ghostTexts.ask(check(inlineCompletionSchema, params), signal);
      if (outcome.kind === 'items') return outcome.items;
      const message = `No ghost text: ${outcome.reason}.`;
      void ignoreFailure(
        connection.sendNotification(LogMessageNotification.type, { type: MessageType.Debug, message }),
      );
      return [];
    });
  });

  connection.onRequest(HelloRequest.type, () => ({ wireVersion, build: daemon.build, pid: process.pid }));
  connection.onRequest(DrainRequest.type, () => {
    // After the answer: the end of the connection must not overtake it.
    setImmediate(() => {
      daemon.drain();
    });
    return null;
  });
  connection.onRequest(HealthRequest.type, (token) => work.run(token, () => daemon.health()));
  connection.onRequest(SubscribeRequest.type, (params, token) =>
    work.run(token, () => {
      for (const channel of check(subscribeSchema, params).channels) subscriptions.add(channel);
      return null;
    }),
  );
  connection.onRequest(GenerateRequestMessage.type, (params, token) =>
    work.run(token, (signal) =>
      generate(connection, daemon, peer, check(generateParamsSchema, params), signal),
    ),
  );
  connection.onRequest(CountTokensRequest.type, (params, token) =>
    work.run(token, async () => {
      const { texts, model } = check(countTokensSchema, params);
      return { counts: await daemon.countTokens(texts, model) };
    }),
  );
  connection.onRequest(CancelStreamRequest.type, (params, token) =>
    work.run(token, () => ({ found: daemon.cancelStream(check(cancelStreamSchema, params).streamId) })),
  );

  const draining = (): void => void ignoreFailure(connection.sendNotification(DrainingNotification.type));
  daemon.events.on('draining', draining);

  let settle: (how: RpcClose) => void;
  const ended = new Promise<RpcClose>((resolve) => {
    settle = resolve;
  });
  let closed = false;
  function close(how: RpcClose): void {
    if (closed) return;
    closed = true;
    daemon.events.off('draining', draining);
    subscriptions.dispose();
    work.abort();
    connection.dispose();
    // A stream that fails after its connection has gone has nobody to tell.
    input.on('error', () => {}).destroy();
    output.on('error', () => {}).end();
    settle(how);
  }
  connection.onClose(() => close('disconnected'));
  connection.onError(([error]) => {
    if (error instanceof HearthError) close('refused');
  });
  connection.listen();
  return { closed: ended, dispose: () => close('disposed') };
}

function initializeResult(version: string): InitializeResult {
  return {
    capabilities: {
      textDocumentSync: { openClose: true, change: TextDocumentSyncKind.Incremental },
      inlineCompletionProvider: true,
    },
    serverInfo: { name: 'hearth', version },
  };
}

function outOfOrder(phase: 'new' | 'shut_down'): ResponseError {
  return phase === 'new'
    ? new ResponseError(ErrorCodes.ServerNotInitialized, 'Send initialize first.')
    : new ResponseError(ErrorCodes.InvalidRequest, 'This connection was shut down.');
}

/** For messages whose loss matters to nobody but a peer that is gone. */
async function ignoreFailure(sent: Promise<void>): Promise<void> {
  try {
    await sent;
  } catch {
    // The close of the connection, which follows, is how a lost peer is dealt with.
  }
}
