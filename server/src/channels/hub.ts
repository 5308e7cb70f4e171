import { clientChannelPattern, type DaemonChannel, daemonChannels, HearthError } from '@hearth/protocol';
import type { Party } from './conversations.js';

/** A message on its way: its body as JSON, encoded once for all who get it. */
export interface Message {
  readonly json: string;
  /** Bytes of `json` in UTF-8. */
  readonly bytes: number;
  /** In a durable channel: its number there. */
  readonly position?: number;
}

/** Who gets the messages of a channel. */
export interface Listener {
  /** The connection that it belongs to. */
  readonly connection: number;
  /** With whom conversations may be begun through it; undefined: with nobody. */
  readonly party: Party | undefined;
  /** Takes a message, or does not; never throws and never waits. */
  deliver(message: Message): boolean;
}

/** What becomes of the daemon's own channels: begun with the first listener, ended with the last. */
export interface ChannelSource {
  /** What a new listener is told first, oldest first. */
  present(): readonly Message[];
  /** Whether only the latest message counts. */
  readonly latestOnly: boolean;
  /** Begins to publish; gives what ends it. */
  start(publish: (message: Message) => void): () => void;
}

/** Who listens to what, and the way from one to all. */
export class ChannelHub {
  readonly #sources: Readonly<Record<DaemonChannel, ChannelSource>>;
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #running = new Map<string, () => void>();

  constructor(sources: Readonly<Record<DaemonChannel, ChannelSource>>) {
    this.#sources = sources;
  }

  /** Listeners of all channels. */
  get size(): number {
    let size = 0;
    for (const listeners of this.#listeners.values()) size += listeners.size;
    return size;
  }

  /** Whether the channel is one of the daemon's own, of which only the latest message counts. */
  isLatestOnly(channel: string): boolean {
    return isDaemonChannel(channel) && this.#sources[channel].latestOnly;
  }

  /** Adds a listener, which is told of the present state of a daemon channel first. */
  add(channel: string, listener: Listener): void {
    const listeners = this.#listeners.get(channel) ?? new Set();
    listeners.add(listener);
    this.#listeners.set(channel, listeners);
    if (!isDaemonChannel(channel)) return;
    const source = this.#sources[channel];
    for (const message of source.present()) listener.deliver(message);
    if (this.#running.has(channel)) return;
    this.#running.set(
      channel,
      source.start((message) => this.publish(channel, message)),
    );
  }

  remove(channel: string, listener: Listener): void {
    const listeners = this.#listeners.get(channel);
    if (listeners?.delete(listener) !== true || listeners.size > 0) return;
    this.#listeners.delete(channel);
    this.#running.get(channel)?.();
    this.#running.delete(channel);
  }

  /** Hands a message to all who listen. Gives how many took it. */
  publish(channel: string, message: Message): number {
    const listeners = this.#listeners.get(channel);
    if (listeners === undefined) return 0;
    let delivered = 0;
    for (const listener of listeners) if (listener.deliver(message)) delivered += 1;
    return delivered;
  }

  /** Somebody else's listener on this channel who takes conversations; the one who has waited longest. */
  findAnswering(channel: string, asker: number): Party | undefined {
    for (const listener of this.#listeners.get(channel) ?? []) {
      if (listener.party !== undefined && listener.connection !== asker) return listener.party;
    }
    return undefined;
  }
}

export function isDaemonChannel(channel: string): channel is DaemonChannel {
  return (daemonChannels as readonly string[]).includes(channel);
}

/** @throws HearthError `not_found` for what is neither a channel of the daemon's nor could be one of a client's. */
export function checkChannel(channel: string): void {
  if (isDaemonChannel(channel) || clientChannelPattern.test(channel)) return;
  throw new HearthError(
    'not_found',
    `channel: there is no such channel; the daemon has ${daemonChannels.join(', ')}, and clients name their own like acme/review`,
  );
}

/** @throws HearthError `forbidden` for the daemon's own, and as {@link checkChannel}. */
export function checkOwnChannel(channel: string): void {
  checkChannel(channel);
  if (!isDaemonChannel(channel)) return;
  throw new HearthError(
    'forbidden',
    'channel: only the daemon publishes here; name a channel like acme/review',
  );
}
