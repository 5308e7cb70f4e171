import { type StatusBody, statusBodySchema } from '../src/channels.js';
import { connectChannels } from './channels.js';

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
  const { send, frames, close } = await connectChannels(path, signal);
  try {
    await send({ type: 'subscribe', channel: 'status' });
    for await (const frame of frames) {
      if (frame.type !== 'event') continue;
      const status = statusBodySchema.safeParse(frame.body).data;
      if (status !== undefined) yield status;
      await send({ type: 'ack', subscription: frame.subscription, seq: frame.seq }).catch(() => undefined);
    }
  } finally {
    close();
  }
}
