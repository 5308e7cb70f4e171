import { HearthError } from '@hearth/protocol';

/**
 * What waits for one connection: events, questions and messages of others, each on a lane of its own. The lanes share
 * one bound on entries and bytes; when it is reached the lane that holds most is shed, and nothing else (row 157).
 *
 * Nothing here waits for the peer: whoever publishes goes on at once, however slowly anybody reads.
 */

/** A rendered frame without its sequence number, shared by all who are to get it. */
export interface Entry {
  /** Bytes that it is counted as. */
  readonly bytes: number;
  /** The line, line feed included. @param seq of the delivery, from 1 for each lane. */
  readonly render: (seq: number) => string;
}

export interface OutboxLimits {
  readonly entries: number;
  readonly bytes: number;
  /** Bytes that are handed to the socket before the peer has taken them; a longer frame ends the connection. */
  readonly outboundBytes: number;
}

/** What all outboxes of a daemon hold together. */
export class SharedBudget {
  readonly #most: number;
  #used = 0;

  /** @param most bytes that may wait for all connections together */
  constructor(most: number) {
    this.#most = most;
  }

  get used(): number {
    return this.#used;
  }

  fits(bytes: number): boolean {
    return this.#used + bytes <= this.#most;
  }

  add(bytes: number): void {
    this.#used += bytes;
  }
}

export interface OutboxOptions {
  readonly limits: OutboxLimits;
  readonly shared: SharedBudget;
  /** Writes lines; resolves when the peer has room for more. Rejects when the connection is gone. */
  readonly write: (text: string) => Promise<void>;
  /** Ends the connection: a frame for it is longer than it may ever take (row 158). */
  readonly onOversized: () => void;
}

export interface LaneOptions {
  /** Deliveries that may be unacknowledged; Infinity: nothing is acknowledged. */
  readonly maxInFlight: number;
  /** Whether a newer entry takes the place of one that still waits: for a state, of which only the latest counts. */
  readonly latestOnly: boolean;
  /** The lane was shed: it is closed, and its owner has to tell the peer. */
  readonly onShed: (error: HearthError) => void;
  /** An entry has left, or was acknowledged: there may be room for more. */
  readonly onRoom?: () => void;
}

/** Entries that leave in one write, at most. */
const sliceEntries = 32;
/** Writes that may be under way at once. */
const maxWrites = 32;

export class Outbox {
  readonly #options: OutboxOptions;
  /** In turn: whoever has had a slice goes to the end. */
  readonly #lanes = new Set<Lane>();
  #entries = 0;
  #bytes = 0;
  #writes = 0;
  #outbound = 0;
  #scheduled = false;
  #closed = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** Entries that wait. */
  get entries(): number {
    return this.#entries;
  }

  /** Bytes that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  open(options: LaneOptions): Lane {
    const lane: Lane = new Lane(options, {
      admit: (entry) => this.#admit(lane, entry),
      removed: (entry) => this.#removed(entry),
      ready: () => this.#ready(),
      closed: () => this.#lanes.delete(lane),
    });
    this.#lanes.add(lane);
    return lane;
  }

  /** Drops everything. Nothing is written any more. */
  close(): void {
    this.#closed = true;
    for (const lane of this.#lanes) lane.close();
  }

  #admit(lane: Lane, entry: Entry): boolean {
    const { limits, shared, onOversized } = this.#options;
    if (this.#closed) return false;
    if (entry.bytes > limits.outboundBytes) {
      this.#closed = true;
      onOversized();
      return false;
    }
    if (entry.bytes > limits.bytes) {
      lane.shed();
      return false;
    }
    while (
      this.#entries >= limits.entries ||
      this.#bytes + entry.bytes > limits.bytes ||
      !shared.fits(entry.bytes)
    ) {
      // The one that crowds the others out, not whoever happens to come last.
      const heaviest = this.#heaviest() ?? lane;
      heaviest.shed();
      if (heaviest === lane) return false;
    }
    this.#entries += 1;
    this.#bytes += entry.bytes;
    shared.add(entry.bytes);
    return true;
  }

  #heaviest(): Lane | undefined {
    let heaviest: Lane | undefined;
    for (const lane of this.#lanes) {
      if (lane.waiting > 0 && (heaviest === undefined || lane.bytes > heaviest.bytes)) heaviest = lane;
    }
    return heaviest;
  }

  #removed(entry: Entry): void {
    this.#entries -= 1;
    this.#bytes -= entry.bytes;
    this.#options.shared.add(-entry.bytes);
  }

  /** Many entries go at once; few wait for others that come in the same turn of the event loop. */
  #ready(): void {
    if (this.#entries >= sliceEntries) {
      this.#pump();
      return;
    }
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    while (!this.#closed && this.#writes < maxWrites && this.#outbound < this.#options.limits.outboundBytes) {
      const text = this.#slice();
      if (text === '') return;
      const bytes = Buffer.byteLength(text);
      this.#writes += 1;
      this.#outbound += bytes;
      this.#options.write(text).then(
        () => {
          this.#writes -= 1;
          this.#outbound -= bytes;
          if (this.#entries > 0) this.#ready();
        },
        () => {
          this.close();
        },
      );
    }
  }

  /** The next entries, one of each lane in turn, as one text; empty where nothing may go. */
  #slice(): string {
    let text = '';
    let count = 0;
    for (let moved = true; moved && count < sliceEntries;) {
      moved = false;
      for (const lane of [...this.#lanes]) {
        const line = lane.take();
        if (line === undefined) continue;
        text += line;
        count += 1;
        moved = true;
        if (this.#lanes.delete(lane)) this.#lanes.add(lane);
        if (count >= sliceEntries) break;
      }
    }
    return text;
  }
}

interface LaneOwner {
  admit(entry: Entry): boolean;
  removed(entry: Entry): void;
  ready(): void;
  closed(): void;
}

/** One subscription, one conversation, or the questions of the daemon: what is shed together. */
export class Lane {
  readonly #options: LaneOptions;
  readonly #owner: LaneOwner;
  #queue: Entry[] = [];
  #head = 0;
  #bytes = 0;
  #sent = 0;
  #acknowledged = 0;
  #closed = false;
  #finishing = false;

  constructor(options: LaneOptions, owner: LaneOwner) {
    this.#options = options;
    this.#owner = owner;
  }

  /** Entries that wait for their turn. */
  get waiting(): number {
    return this.#queue.length - this.#head;
  }

  /** Bytes of what waits. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Number of the last delivery. */
  get sent(): number {
    return this.#sent;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Adds an entry. False where it was not taken: the lane is closed, or was shed for it. */
  push(entry: Entry): boolean {
    if (this.#closed || this.#finishing) return false;
    if (this.#options.latestOnly && this.waiting > 0) this.#clear();
    if (!this.#owner.admit(entry)) return false;
    this.#queue.push(entry);
    this.#bytes += entry.bytes;
    this.#owner.ready();
    return true;
  }

  /** The next line, where one waits and may go. */
  take(): string | undefined {
    if (this.#sent - this.#acknowledged >= this.#options.maxInFlight) return undefined;
    const entry = this.#queue[this.#head];
    if (entry === undefined) return undefined;
    this.#head += 1;
    // Shifting one by one would move the rest each time.
    if (this.#head > 64 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    this.#bytes -= entry.bytes;
    this.#owner.removed(entry);
    this.#sent += 1;
    if (this.#finishing && this.waiting === 0) this.close();
    else this.#options.onRoom?.();
    return entry.render(this.#sent);
  }

  /** Everything up to `seq` has been dealt with. False where nothing with that number was ever delivered. */
  acknowledge(seq: number): boolean {
    if (seq > this.#sent) return false;
    if (seq > this.#acknowledged) this.#acknowledged = seq;
    if (this.waiting > 0) this.#owner.ready();
    this.#options.onRoom?.();
    return true;
  }

  /** Ends the lane because it holds too much. */
  shed(): void {
    if (this.#closed) return;
    this.close();
    this.#options.onShed(
      new HearthError(
        'slow_consumer',
        'This was ended because more waited for you than may (limits.inbox_entries, limits.inbox_bytes). Acknowledge sooner, or subscribe to less.',
      ),
    );
  }

  /** Takes one last entry and closes when that has left. */
  finish(last: Entry): void {
    if (!this.push(last)) this.close();
    this.#finishing = true;
  }

  /** Drops what waits. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#clear();
    this.#owner.closed();
  }

  #clear(): void {
    for (const entry of this.#queue.slice(this.#head)) this.#owner.removed(entry);
    this.#queue = [];
    this.#head = 0;
    this.#bytes = 0;
  }
}
