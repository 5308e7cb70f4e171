import { type ErrorCode, HearthError, toHearthError } from '@hearth/protocol';
import { EngineFailure, type EngineFailureKind } from '../engine/engine.js';

const codes: Record<EngineFailureKind, ErrorCode> = {
  not_ready: 'backend_unavailable',
  unavailable: 'backend_unavailable',
  invalid_request: 'invalid_request',
  unsupported: 'unsupported_parameter',
  internal: 'internal',
  crashed: 'engine_crashed',
  hung: 'engine_hung',
};

const clientsMistakes: ReadonlySet<ErrorCode> = new Set(['invalid_request', 'unsupported_parameter']);

/** The error that a client sees for what an engine threw (row 22). */
export function failureToError(error: unknown): HearthError {
  if (error instanceof EngineFailure)
    return new HearthError(codes[error.kind], error.message, { cause: error });
  return toHearthError(error);
}

/** Whether the breaker is to count it: everything but the client's own mistakes (row 76). */
export function isBackendFault(error: unknown): boolean {
  if (error instanceof EngineFailure) return error.kind !== 'invalid_request' && error.kind !== 'unsupported';
  return !(error instanceof HearthError && clientsMistakes.has(error.code));
}
