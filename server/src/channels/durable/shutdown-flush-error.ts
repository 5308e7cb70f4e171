/** Messages could not be brought to the disk before the end. */
export class ShutdownFlushError extends Error {
  override readonly name = 'ShutdownFlushError';

  /** @param failed channels whose journal could not be written */
  constructor(
    readonly failed: readonly string[],
    options: { cause?: unknown } = {},
  ) {
    super(
      `shutdown flush failed: ${String(failed.length)} durable channel(s) could not be saved to the end: see that the state directory has room and can be written`,
      options,
    );
  }
}
