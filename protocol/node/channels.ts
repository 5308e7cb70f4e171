import { type ChannelFrame, channelFrameSchema, type ChannelRequestInput } from '../src/channels.js';
import { type ErrorFrame, errorFrameSchema } from '../src/frames.js';
import { encodeFrameBytes, NdjsonDecoder, parseLine } from '../src/ndjson.js';
import { dial } from './dial.js';
import { socketTransport } from './socket-transport.js';

/** What a client hears of channels: frames, and failures of what it asked for. */
export type HeardFrame = ChannelFrame | ErrorFrame;

/** A connection for channels: subscriptions, publishing, questions and conversations. */
export interface ChannelConnection {
  /** Sends a request. Resolves when the daemon has room for the next; rejects when the connection is gone. */
  readonly send: (request: ChannelRequestInput) => Promise<void>;
  /**
   * What comes, in order, until the daemon ends the connection or the signal aborts; neither is an error. Events of a
   * subscription have to be acknowledged. What a later daemon adds is passed over. To be read once.
   */
  readonly frames: AsyncGenerator<HeardFrame, void, void>;
  readonly close: () => void;
}

/**
 * Connects to the inference socket at `path` to speak of channels.
 *
 * @param signal ends the connection
 * @throws ConnectError where nobody listens.
 */
export async function connectChannels(path: string, signal: AbortSignal): Promise<ChannelConnection> {
  const transport = socketTransport(await dial({ path }, { signal, timeoutMs: 0 }));
  const close = (): void => {
    signal.removeEventListener('abort', close);
    transport.close();
  };
  signal.addEventListener('abort', close, { once: true });
  async function* frames(): AsyncGenerator<HeardFrame, void, void> {
    const decoder = new NdjsonDecoder();
    try {
      for await (const chunk of transport.chunks) {
        for (const line of decoder.push(chunk)) {
          const frame = readFrame(line);
          if (frame !== undefined) yield frame;
        }
      }
    } catch (error) {
      // A daemon that has gone, or an end that was asked for, is the end of what comes like any other.
      if (!(error instanceof Error && 'code' in error) && !signal.aborted) throw error;
    } finally {
      close();
    }
  }
  return { send: (request) => transport.send(encodeFrameBytes(request)), frames: frames(), close };
}

function readFrame(line: Parameters<typeof parseLine>[0]): HeardFrame | undefined {
  const parsed = parseLine(line);
  if (parsed.kind !== 'value') return undefined;
  return channelFrameSchema.safeParse(parsed.value).data ?? errorFrameSchema.safeParse(parsed.value).data;
}
