import type { HttpError } from '../../../http/http-error.js';

/** `error` as Anthropic's API tells it. */
export function anthropicError(error: HttpError) {
  return { type: 'error', error: { type: typeOf(error.status), message: error.message } } as const;
}

function typeOf(status: number): string {
  const known = types[status];
  if (known !== undefined) return known;
  return status < 500 ? 'invalid_request_error' : 'api_error';
}

const types: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  503: 'overloaded_error',
  504: 'timeout_error',
};
