import { type StatusBody, statusBodySchema } from '../src/channels.js';
import { isJsonObject } from '../src/json.js';
import { encodeFrameBytes, NdjsonDecoder, parseLine } from '../src/ndjson.js';
import { dial } from './dial.js';
import { socketTransport } from './socket-transport.js';

/**
 * What the daemon at the inference socket `path` says of itself on the channel `status`: as it is now, then each change,
 * until it ends or the signal aborts; neither is an error. What a later daemon adds is passed over.
 *
 * @throws ConnectError where nobody listens.
 */
export async function* watchStatus(
  path: string,
  signal: AbortSignal,
): AsyncGenerator<StatusBody, void, void> {
  const transport = socketTransport(await dial({ path }, { signal, timeoutMs: 0 }));
  const abort = (): void => {
    transport.close();
  };
  signal.addEventListener('abort', abort, { once: true });
  const decoder = new NdjsonDecoder();
  try {
    await transport.send(encodeFrameBytes({ type: 'subscribe', channel: 'status' }));
    for await (const chunk of transport.chunks) {
      for (const line of decoder.push(chunk)) {
        const parsed = parseLine(line);
        if (parsed.kind !== 'value' || parsed.value['type'] !== 'event') continue;
        const { subscription, seq, body } = parsed.value;
        const status = isJsonObject(body) ? statusBodySchema.safeParse(body).data : undefined;
        if (status !== undefined) yield status;
        await transport.send(encodeFrameBytes({ type: 'ack', subscription, seq }));
      }
    }
  } catch (error) {
    // A daemon that has gone, or an end that was asked for, is the end of the watch like any other.
    if (!(error instanceof Error && 'code' in error) && !signal.aborted) throw error;
  } finally {
    signal.removeEventListener('abort', abort);
    transport.close();
  }
}
