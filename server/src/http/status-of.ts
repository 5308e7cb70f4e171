import type { ErrorCode } from '@hearth/protocol';

/** Statuses by code. What is not among them is a fault of ours: 500. */
const statuses: Partial<Record<ErrorCode, number>> = {
  invalid_request: 400,
  unsupported_parameter: 400,
  attachment_unsupported: 400,
  embed_unsupported: 400,
  rerank_unsupported: 400,
  wire_version_unsupported: 400,
  unauthenticated: 401,
  forbidden: 403,
  model_not_found: 404,
  not_found: 404,
  conflict: 409,
  frame_too_large: 413,
  limit_exceeded: 429,
  tool_call_malformed: 502,
  queue_full: 503,
  queue_timeout: 503,
  backend_unavailable: 503,
  draining: 503,
  superseded: 503,
  cancelled: 503,
  model_load_failed: 503,
  insufficient_memory: 503,
  engine_crashed: 503,
  engine_hung: 503,
  deadline_exceeded: 504,
};

/** The HTTP status that an error of ours has, whatever surface it was told on. */
export function httpStatusOf(code: ErrorCode): number {
  return statuses[code] ?? 500;
}
