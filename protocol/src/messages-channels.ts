import { NotificationType, RequestType } from 'vscode-jsonrpc';
import type { ChannelFrame, ChannelRequestInput } from './channels.js';
import type { ErrorFrame } from './frames.js';
import type { ErrorData } from './messages.js';

/**
 * Client → server. One request about channels, as a line of the inference socket has it: an editor subscribes,
 * publishes, asks and answers as every other client does. The answer says that the next may be sent; what became of the
 * request comes as {@link ChannelFrameNotification}, its failure too.
 */
export namespace ChannelRequestMessage {
  export const method = 'hearth/channel';
  export const type = new RequestType<ChannelRequestInput, null, ErrorData>(method);
}

/** Server → client. One frame about channels, to who has sent a {@link ChannelRequestMessage}. */
export namespace ChannelFrameNotification {
  export const method = 'hearth/channelFrame';
  export const type = new NotificationType<ChannelFrame | ErrorFrame>(method);
}
