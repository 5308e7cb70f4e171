/** What kept Hearth from starting. Each kind has its own exit message and its own remedy. */
export type StartupErrorKind =
  /** A flag, a variable or the configuration file says something that cannot be. */
  | 'config'
  /** The runtime directory cannot be made, or others could tamper with it. */
  | 'runtime_directory'
  /** The path of a socket does not fit into the kernel's address structure. */
  | 'path_too_long'
  /** Another Hearth holds the lock. */
  | 'lock_held'
  /** What lies at the lock's path is not a lock file of ours. */
  | 'lock_unsafe'
  /** The file system or the platform gives no kernel locks. */
  | 'lock_unavailable'
  /** What lies at a socket's path is not a dead socket of ours. */
  | 'socket_unsafe'
  /** Somebody listens at that address. */
  | 'address_in_use'
  /** The address cannot be understood, or is not one to listen on. */
  | 'bad_address'
  /** The state directory is not there, cannot be written, or what lies in it cannot be used. */
  | 'state_directory'
  /** The kernel refused to listen there. */
  | 'bind_failed';

/**
 * A start that failed, told to the person at the terminal: what happened and what to do next. The message may
 * name a path or an address, since that person chose it; so it belongs on standard error and never in the
 * activity log.
 */
export class StartupError extends Error {
  override readonly name = 'StartupError';
  readonly kind: StartupErrorKind;

  constructor(kind: StartupErrorKind, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.kind = kind;
  }
}

/** The system's code of an error, such as `ENOENT`; undefined where it has none. */
export function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
