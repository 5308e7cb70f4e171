import type { ChannelRequest } from '@hearth/protocol';

/**
 * What an endpoint needs of the channels: it opens a session for a connection, hands it requests, and writes what it is
 * given.
 */
export interface Channels {
  /** Begins a session. Its end is {@link ChannelSession.close}, which must come. */
  open(peer: ChannelPeer): ChannelSession;
}

/** The connection as a session sees it. */
export interface ChannelPeer {
  /**
   * Writes whole lines, in the order of the calls. Resolves when there is room for more; rejects when the connection is
   * gone. Never blocks whoever did not ask for it: what is not taken waits in the session's outbox, within its bounds.
   */
  readonly write: (text: string) => Promise<void>;
  /** Ends this connection at once. */
  readonly close: () => void;
}

/** What one connection has to do with channels. */
export interface ChannelSession {
  /**
   * Carries out a request. What it leads to is written to the peer, its failure too; never rejects. Resolves when the
   * next request may be read, which for questions to others is before their answer.
   */
  take(request: ChannelRequest): Promise<void>;
  /** Whether an answer is awaited on behalf of this connection. */
  readonly isWaiting: boolean;
  /** Resolves when no answer is awaited any more on behalf of this connection. */
  settled(): Promise<void>;
  /** Tells the peer that the daemon goes away. */
  farewell(reason: 'draining' | 'closing'): Promise<void>;
  /** The connection has gone: whatever it held is given up, and who waits for it is told. */
  close(): void;
}
