/** What the command line's exit codes mean. Documented in the README; none changes its meaning. */
export const exitCodes = {
  ok: 0,
  /** A fault of Hearth's own. */
  internal: 1,
  /** A wrong flag, value or configuration file. */
  usage: 2,
  /** Another daemon holds the lock of this runtime directory. */
  alreadyRunning: 3,
  /** No daemon, no ready model, or the model could not be loaded. */
  notReady: 4,
  queueFull: 5,
  /** The daemon ended, and messages of durable channels could not be saved. */
  notSaved: 6,
  /** Somebody was asked, and said no. */
  denied: 7,
  /** Ended by Ctrl-C or by a signal before it was done. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];
