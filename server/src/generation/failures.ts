import { type ErrorCode, HearthError, toHearthError } from '@hearth/protocol';
import { EngineFailure, type EngineFailureKind } from '../engine/engine.js';

const codes: Record<EngineFailureKind, ErrorCode> = {
  not_ready: 'backend_unavailable',
  unavailable: 'backend_unavailable',
  invalid_request: 'invalid_request',
  unsupported: 'unsupported_parameter',
  attachment_unsupported: 'attachment_unsupported',
  embed_unsupported: 'embed_unsupported',
  rerank_unsupported: 'rerank_unsupported',
  tool_call_malformed: 'tool_call_malformed',
  internal: 'internal',
  crashed: 'engine_crashed',
  hung: 'engine_hung',
};

/** What says nothing of the backend's health. */
const noFaults: ReadonlySet<ErrorCode> = new Set([
  'invalid_request',
  'unsupported_parameter',
  'attachment_unsupported',
  'embed_unsupported',
  'rerank_unsupported',
  'tool_call_malformed',
]);

/** The error that a client sees for what an engine threw (row 22). */
export function failureToError(error: unknown): HearthError {
  if (error instanceof EngineFailure)
    return new HearthError(codes[error.kind], error.message, { cause: error });
  return toHearthError(error);
}

/** Whether the breaker is to count it: everything but what the client or the model's text brought about (row 76). */
export function isBackendFault(error: unknown): boolean {
  if (error instanceof EngineFailure) return !noFaults.has(codes[error.kind]);
  return !(error instanceof HearthError && noFaults.has(error.code));
}
