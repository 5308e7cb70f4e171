import { type ErrorCode, HearthError } from '@hearth/protocol';

/** What can go wrong with a pull. */
export type PullProblem =
  /** The text names no model that could be fetched. */
  | 'bad_source'
  /** The host is not one of those that models come from. */
  | 'host_not_allowed'
  | 'offline'
  | 'not_found'
  | 'not_permitted'
  /** It does not answer, refuses, or breaks off again and again. */
  | 'unreachable'
  /** What it says of the file contradicts itself or what it said before. */
  | 'bad_server'
  /** The file is not the one that was promised, or is no model. It was set aside. */
  | 'wrong_content'
  | 'too_large'
  | 'disk_full';

const codes: Readonly<Record<PullProblem, ErrorCode>> = {
  bad_source: 'invalid_request',
  host_not_allowed: 'forbidden',
  offline: 'backend_unavailable',
  not_found: 'model_not_found',
  not_permitted: 'unauthenticated',
  unreachable: 'backend_unavailable',
  bad_server: 'model_load_failed',
  wrong_content: 'model_load_failed',
  too_large: 'invalid_request',
  disk_full: 'model_load_failed',
};

/** A pull that ended without its model. The message says what to do, and holds neither path nor token. */
export class PullError extends HearthError {
  readonly problem: PullProblem;

  constructor(problem: PullProblem, message: string, options: { cause?: unknown } = {}) {
    super(codes[problem], message, options);
    this.problem = problem;
  }
}
