import { ProtocolError } from '../src/client.js';
import type { AdminFrame } from '../src/frames.js';
import { NdjsonDecoder } from '../src/ndjson.js';
import { readAdminFrame } from '../src/read-frames.js';
import { dial } from './dial.js';
import type { DialOptions } from './dial.js';
import { socketTransport } from './socket-transport.js';

/**
 * The frames of the admin socket at `path`: what the daemon is now, then each change, until the daemon closes.
 * States and phases that this version does not know are passed over.
 *
 * Aborting the signal ends the iteration without an error. A watcher that reads too slowly is disconnected by the
 * daemon, which looks like its end: watch again to go on.
 *
 * @throws ConnectError where no connection came about (see {@link dial}; `timeoutMs: 0` tries once).
 * @throws ProtocolError where something else than a Hearth daemon answers.
 */
export async function* watchAdmin(
  path: string,
  options: DialOptions = {},
): AsyncGenerator<AdminFrame, void, void> {
  const { signal } = options;
  if (signal?.aborted === true) return;
  const socket = await dial({ path }, options).catch((error: unknown) => {
    if (signal?.aborted === true) return undefined;
    throw error;
  });
  if (socket === undefined) return;
  const transport = socketTransport(socket);
  const abort = (): void => {
    transport.close();
  };
  signal?.addEventListener('abort', abort, { once: true });
  const decoder = new NdjsonDecoder({ maxBytes: longestAdminLine });
  try {
    for await (const chunk of transport.chunks) {
      for (const line of decoder.push(chunk)) {
        const reading = readAdminFrame(line);
        if (reading.kind === 'malformed')
          throw new ProtocolError('The admin socket sent something that is no frame.');
        if (reading.kind === 'frame') yield reading.frame;
        if (isAborted(signal)) return;
      }
    }
  } catch (error) {
    if (!isAborted(signal) && !isReset(error)) throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
    transport.close();
  }
}

/** Admin frames are small; a line of a mebibyte is none. */
const longestAdminLine = 1_048_576;

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

/** A daemon that was killed leaves a reset behind: the end of the watch like any other. */
function isReset(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ECONNRESET';
}
