import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { ActivityEvent } from '@hearth/protocol';
import type { RecordActivity } from '../record-activity.js';
import { ShedReport } from './connection-budget.js';
import { type PeerCredentials, readPeerCredentials } from './peer-credentials.js';

/** What is served on a connection. `admin` only looks on, and does not count as use of the daemon. */
export type ConnectionKind = 'inference' | 'rpc' | 'admin';

/** One connection that is tracked, from its acceptance until nothing of it is left. */
export interface Connection {
  /** Unique in the life of a daemon, from 1. */
  readonly id: number;
  readonly kind: ConnectionKind;
  /** Whose fair share its work counts against: a process where the kernel names it, else the connection. */
  readonly client: string;
  /** What the kernel says of the other end; undefined where it says nothing. */
  readonly peer: PeerCredentials | undefined;
}

/** Why the daemon says goodbye: it drains and lets work finish first, or it closes the connection now. */
export type FarewellReason = 'draining' | 'closing';

/** How one connection is served. */
export interface Service {
  /** Resolves when the connection has ended. A failure ends this connection only. */
  readonly done: Promise<unknown>;
  /** Tells the peer, where its protocol has words for it. Resolves when they have been taken; never rejects. */
  readonly farewell?: (reason: FarewellReason) => Promise<void>;
}

export interface SupervisorOptions {
  /** Most connections with a socket at once. */
  readonly limit: number;
  readonly record: RecordActivity;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Called after each connection that came or went. */
  readonly onChange?: () => void;
}

export interface ListenerOptions {
  readonly kind: ConnectionKind;
  /** Of the limit, what this kind leaves to others. @default 0 */
  readonly keptBack?: number;
  /** What one who is turned away for want of room is told. @default nothing */
  readonly refusal?: (limit: number) => Uint8Array;
  /** @throws whatever goes wrong: the connection is destroyed, and nothing else happens. */
  readonly serve: (socket: Socket, connection: Connection) => Service;
}

/** How long a goodbye may take before the connection is closed all the same, in milliseconds. */
const settleMs = 500;
/** How long a connection that was closed in order may stay before it is cut off, in milliseconds. */
const cutOffMs = 1000;

interface Entry extends Connection {
  readonly socket: Socket | undefined;
  service: Service | undefined;
}

/**
 * Keeps every connection of the daemon: its number, its service, its end (rows 140 to 143). A connection is admitted or
 * turned away here, one that fails takes nothing with it, and one that is gone is forgotten when its socket closes.
 */
export class ConnectionSupervisor {
  readonly #options: SupervisorOptions;
  readonly #entries = new Map<number, Entry>();
  readonly #shed: ShedReport;
  #accepted = 0;
  #lastId = 0;
  #withSocket = 0;
  #closed = false;
  #whenUnused: (() => void)[] = [];

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#shed = new ShedReport((count) => {
      this.#record('warn', { msg: 'connections_shed', count, limit: options.limit });
    }, options.now);
  }

  /** Connections that were ever adopted or accepted. */
  get accepted(): number {
    return this.#accepted;
  }

  /** The connections that are open, oldest first. */
  get live(): readonly Connection[] {
    return [...this.#entries.values()].map(({ id, kind, client, peer }) => ({ id, kind, client, peer }));
  }

  /** How many are open, of one kind or of all. */
  count(kind?: ConnectionKind): number {
    if (kind === undefined) return this.#entries.size;
    let count = 0;
    for (const entry of this.#entries.values()) if (entry.kind === kind) count += 1;
    return count;
  }

  /** Counts a connection that the kernel could not give us (row 165). */
  readonly shed = (): void => {
    this.#shed.add();
  };

  /** What a listening socket calls for each connection: admits it, or turns it away. */
  listener(options: ListenerOptions): (socket: Socket) => void {
    return (socket) => {
      const most = Math.max(1, this.#options.limit - (options.keptBack ?? 0));
      const peer = readPeerCredentials(socket);
      const stranger = strangerOf(peer);
      const isFull = this.#withSocket >= most;
      if (!isFull && stranger === undefined && !this.#closed) {
        this.#serve(socket, peer, options);
        return;
      }
      socket.on('error', () => undefined);
      if (stranger !== undefined) this.#record('warn', { msg: 'peer_rejected', peer_uid: stranger });
      else if (isFull) this.#shed.add();
      if (stranger === undefined && isFull && options.refusal !== undefined)
        socket.end(options.refusal(most), () => socket.destroy());
      else socket.destroy();
    };
  }

  /** Keeps a connection that came otherwise than by a socket, such as the editor at the other end of stdio. */
  adopt(kind: ConnectionKind, service: Service): Connection {
    const entry = this.#enter(kind, undefined, undefined);
    entry.service = service;
    void service.done.catch(() => undefined).then(() => this.#forget(entry));
    return entry;
  }

  /** From now on nobody is admitted (row 148). */
  refuseNew(): void {
    this.#closed = true;
  }

  /** Tells every peer that the daemon is going away; they stay connected and tracked (row 143). */
  async notifyAll(reason: FarewellReason): Promise<void> {
    await this.#sayGoodbye(reason, settleMs);
  }

  /**
   * Ends every connection: a goodbye, then what was written goes out, then the end; whoever does not take it in time
   * is cut off (row 142). Resolves when none is left.
   *
   * @param patienceMs longest that the goodbye of one connection may take
   */
  async closeAll(patienceMs: number): Promise<void> {
    this.#closed = true;
    await this.#sayGoodbye('closing', patienceMs);
    const open = [...this.#entries.values()];
    for (const { socket } of open) socket?.destroySoon();
    await Promise.race([Promise.all(open.map(closing)), delay(cutOffMs, undefined, { ref: false })]);
    for (const { socket } of open) socket?.destroy();
  }

  /** Resolves when nobody is connected who counts as use of the daemon. */
  async unused(): Promise<void> {
    if (this.#isUnused()) return;
    await new Promise<void>((resolve) => this.#whenUnused.push(resolve));
  }

  #serve(socket: Socket, peer: PeerCredentials | undefined, { kind, serve }: ListenerOptions): void {
    const entry = this.#enter(kind, socket, peer);
    socket.once('close', () => this.#forget(entry));
    try {
      entry.service = serve(socket, entry);
    } catch (error) {
      this.#crashed(entry, error);
      return;
    }
    entry.service.done.catch((error: unknown) => {
      this.#crashed(entry, error);
    });
  }

  #enter(kind: ConnectionKind, socket: Socket | undefined, peer: PeerCredentials | undefined): Entry {
    this.#accepted += kind === 'admin' ? 0 : 1;
    this.#lastId += 1;
    const id = this.#lastId;
    const client = peer?.pid === undefined ? `connection:${String(id)}` : `process:${String(peer.pid)}`;
    const entry: Entry = { id, kind, client, peer, socket, service: undefined };
    this.#entries.set(id, entry);
    if (socket !== undefined) this.#withSocket += 1;
    this.#options.onChange?.();
    return entry;
  }

  #crashed({ kind, socket }: Entry, error: unknown): void {
    socket?.on('error', () => undefined);
    socket?.destroy();
    // The name only: a message may hold anything.
    const name = error instanceof Error ? error.name : typeof error;
    this.#record('error', { msg: 'internal_error', where: `${kind} connection`, error: name });
  }

  #forget(entry: Entry): void {
    if (!this.#entries.delete(entry.id)) return;
    if (entry.socket !== undefined) this.#withSocket -= 1;
    this.#options.onChange?.();
    if (!this.#isUnused()) return;
    const waiters = this.#whenUnused;
    this.#whenUnused = [];
    for (const wake of waiters) wake();
  }

  #isUnused(): boolean {
    for (const { kind } of this.#entries.values()) if (kind !== 'admin') return false;
    return true;
  }

  async #sayGoodbye(reason: FarewellReason, patienceMs: number): Promise<void> {
    const words = [...this.#entries.values()].map(async ({ service }) => service?.farewell?.(reason));
    const patience = new AbortController();
    const late = delay(patienceMs, undefined, { ref: false, signal: patience.signal }).catch(() => undefined);
    await Promise.race([Promise.allSettled(words), late]);
    patience.abort();
  }

  #record(level: 'warn' | 'error', event: ActivityEvent): void {
    this.#options.record(level, 'connections', event);
  }
}

/** Resolves when the socket of a connection has closed, or at once where it has none. */
async function closing({ socket }: Entry): Promise<void> {
  if (socket === undefined || socket.closed) return;
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
}

/**
 * The user at the other end of a Unix socket, where the kernel says that it is neither ours nor root. The modes of
 * directory and socket keep others out before; this holds where somebody has changed them.
 */
function strangerOf(peer: PeerCredentials | undefined): number | undefined {
  const uid = peer?.uid;
  return uid === undefined || uid === 0 || uid === process.getuid?.() ? undefined : uid;
}
