import { type ErrorCode, HearthError } from '@hearth/protocol';
import { ShutdownFlushError } from '../channels/durable/shutdown-flush-error.js';
import { StartupError } from '../lock/startup-error.js';
import { NotReadyError } from '../router/ready-gate.js';
import { type ExitCode, exitCodes } from './exit-codes.js';

export interface Failure {
  readonly text: string;
  readonly exitCode: ExitCode;
}

/** What a failure says to the person at the terminal, and the exit code that says it to a script. */
export function describeFailure(error: unknown): Failure {
  if (error instanceof StartupError) return { text: error.message, exitCode: startupExitCode(error) };
  if (error instanceof ShutdownFlushError) return { text: error.message, exitCode: exitCodes.notSaved };
  if (error instanceof NotReadyError) return { text: error.message, exitCode: exitCodes.notReady };
  if (error instanceof HearthError) {
    return { text: `${error.code}: ${error.message}`, exitCode: requestExitCode(error) };
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { text: `internal fault: ${text}`, exitCode: exitCodes.internal };
}

function startupExitCode(error: StartupError): ExitCode {
  switch (error.kind) {
    case 'lock_held':
      return exitCodes.alreadyRunning;
    case 'config':
    case 'bad_address':
    case 'runtime_directory':
    case 'path_too_long':
    case 'state_directory':
      return exitCodes.usage;
    case 'lock_unsafe':
    case 'lock_unavailable':
    case 'socket_unsafe':
    case 'address_in_use':
    case 'bind_failed':
      return exitCodes.notReady;
  }
}

function requestExitCode(error: HearthError): ExitCode {
  return requestExitCodes[error.code] ?? exitCodes.notReady;
}

/** The codes that are not a matter of the daemon or its model being there. */
const requestExitCodes: Partial<Record<ErrorCode, ExitCode>> = {
  queue_full: exitCodes.queueFull,
  queue_timeout: exitCodes.queueFull,
  invalid_request: exitCodes.usage,
  unsupported_parameter: exitCodes.usage,
  embed_unsupported: exitCodes.usage,
  rerank_unsupported: exitCodes.usage,
  frame_too_large: exitCodes.usage,
  internal: exitCodes.internal,
};
