import type { ErrorCode } from '@hearth/protocol';
import type { HttpError } from '../../../http/http-error.js';
import { ApiError, codeOf } from '../api-error.js';

/** An error in OpenAI's shape. */
export interface OpenAiErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: ErrorCode;
  };
}

/** `error` as OpenAI's API tells it. `code` is one of Hearth's. */
export function openAiError(error: HttpError): OpenAiErrorBody {
  return {
    error: {
      message: error.message,
      type: typeOf(error.status),
      param: error instanceof ApiError ? (error.field ?? null) : null,
      code: codeOf(error),
    },
  };
}

function typeOf(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 429) return 'rate_limit_error';
  return status < 500 ? 'invalid_request_error' : 'server_error';
}
