import { describeIssues, HearthError, requestFailed, toHearthError, type ErrorData } from '@hearth/protocol';
import { ResponseError, type CancellationToken } from 'vscode-jsonrpc';
import { LSPErrorCodes } from 'vscode-languageserver';
import type { z } from 'zod';

/** What a request handler gives back to its connection. */
export type Answer<R> = Promise<R | ResponseError<ErrorData>>;

/** The work that a connection has under way; all of it ends with the connection. */
export interface Work {
  /**
   * Runs `body` with a signal that is aborted by `token`, or when the connection closes. What `body` throws
   * becomes the error that the peer sees; once `token` was cancelled that is `RequestCancelled`, whatever
   * `body` said.
   */
  readonly run: <R>(token: CancellationToken, body: (signal: AbortSignal) => R | Promise<R>) => Answer<R>;
  /** Aborts everything, and from now on everything that begins. */
  readonly abort: () => void;
}

export function createWork(): Work {
  const running = new Set<AbortController>();
  let closed = false;
  return {
    run: async (token, body) => {
      const controller = new AbortController();
      const listener = token.onCancellationRequested(() => controller.abort());
      if (token.isCancellationRequested || closed) controller.abort();
      running.add(controller);
      try {
        const result = await body(controller.signal);
        return token.isCancellationRequested ? cancelled() : result;
      } catch (error) {
        return token.isCancellationRequested ? cancelled() : toResponseError(error);
      } finally {
        running.delete(controller);
        listener.dispose();
      }
    },
    abort: () => {
      closed = true;
      for (const controller of running) controller.abort();
    },
  };
}

/**
 * Checks what a peer sent.
 *
 * @throws HearthError `invalid_request` that names each wrong field and never quotes its value.
 */
export function check<T>(schema: z.ZodType<T>, params: unknown): T {
  const result = schema.safeParse(params);
  if (result.success) return result.data;
  throw new HearthError('invalid_request', describeIssues(result.error));
}

/** `error` as JSON-RPC carries it: Hearth's own code in `data`. */
export function toResponseError(error: unknown): ResponseError<ErrorData> {
  const { code, message, retryable, retryAfterMs } = toHearthError(error);
  const data: ErrorData = { code, retryable, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
  return new ResponseError(requestFailed, message, data);
}

/**
 * The error for a request that reached no handler, under a code of JSON-RPC's own.
 *
 * @param message of fixed text: what a peer sent is never quoted.
 */
export function refusal(rpcCode: number, message: string): ResponseError<ErrorData> {
  return new ResponseError<ErrorData>(rpcCode, message, { code: 'invalid_request', retryable: false });
}

function cancelled(): ResponseError<ErrorData> {
  return new ResponseError<ErrorData>(LSPErrorCodes.RequestCancelled, 'The request was cancelled.', {
    code: 'cancelled',
    retryable: false,
  });
}
