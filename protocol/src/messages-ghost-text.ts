import { NotificationType } from 'vscode-jsonrpc';
import type { GhostTextOutcome } from './ghost-text.js';

/**
 * Server → client. What became of triggers for ghost text in documents of this connection, oldest first, to who
 * subscribed to `ghost_text`. It may come before or after the answer to the trigger; at most twenty times a second.
 */
export namespace GhostTextTold {
  export interface Params {
    readonly outcomes: readonly GhostTextOutcome[];
  }
  export const method = 'hearth/ghostText';
  export const type = new NotificationType<Params>(method);
}
