import {
  ChannelFrameNotification,
  ChannelRequestMessage,
  isJsonObject,
  parseChannelRequest,
  type ChannelFrame,
  type ErrorFrame,
} from '@hearth/protocol';
import type { MessageConnection } from 'vscode-jsonrpc/node';
import type { ChannelSession, Channels } from '../../channels/channels-port.js';
import type { Register } from './models.js';

/** What one connection has to do with channels. */
export interface RpcChannels {
  /** Tells a peer that has spoken of channels that the daemon goes away. Never rejects. */
  readonly farewell: (reason: 'draining' | 'closing') => Promise<void>;
  readonly dispose: () => void;
}

/**
 * Carries the requests and frames of the inference socket's channels in messages of JSON-RPC, so that an editor is a
 * client among clients. A session begins with its first request.
 *
 * @param end ends the connection at once: a frame for it is longer than it may ever take
 */
export function serveChannels(
  register: Register,
  connection: MessageConnection,
  channels: Channels,
  end: () => void,
): RpcChannels {
  let session: ChannelSession | undefined;
  const open = (): ChannelSession =>
    channels.open({
      write: async (text) => {
        await Promise.all(
          text
            .split('\n')
            .filter((line) => line !== '')
            .map((line) => connection.sendNotification(ChannelFrameNotification.type, toFrame(line))),
        );
      },
      close: end,
    });
  register(ChannelRequestMessage.type, async (params) => {
    const request = parseChannelRequest(isJsonObject(params) ? params : {});
    session ??= open();
    await session.take(request);
    return null;
  });
  return {
    farewell: async (reason) => {
      await session?.farewell(reason).catch(() => undefined);
    },
    dispose: () => session?.close(),
  };
}

/** A line that a session has written: a frame of ours, and nothing else. */
function toFrame(line: string): ChannelFrame | ErrorFrame {
  return JSON.parse(line) as ChannelFrame | ErrorFrame;
}
