import { isJsonObject, limits, type JsonObject } from '@hearth/protocol';

/** Bounds of an {@link Intake}. */
export interface IntakeBounds {
  /** Most messages of one peer that are held. @default 64 */
  readonly messages: number;
  /** Bytes held at which no more is read; the last message may pass it. @default 33554432 */
  readonly bytes: number;
}

/** What is to become of a message: on to its handler, nowhere, or back with an error. */
export type Verdict = 'deliver' | 'ignore' | 'refuse';

/** A message that is held. */
interface Held {
  readonly bytes: number;
  cancelled: boolean;
}

/**
 * What one peer has sent that is not dealt with: requests until their answer is written, notifications until they
 * are dispatched, refusals until they are written. Once it is {@link full} nothing more is to be read, so that a peer
 * that asks without reading the answers fills its own buffers and not this process.
 */
export class Intake {
  readonly #bounds: IntakeBounds;
  /** Requests under their id as text, everything else under itself. */
  readonly #held = new Map<string | object, Held>();
  #bytes = 0;
  #stopped = false;
  #onRoom: (() => void) | undefined;
  #onIdle: (() => void)[] = [];

  constructor(bounds: IntakeBounds = { messages: 64, bytes: 33_554_432 }) {
    this.#bounds = bounds;
  }

  /** Whether nothing more is to be read now. */
  get full(): boolean {
    return this.#stopped || this.#held.size >= this.#bounds.messages || this.#bytes >= this.#bounds.bytes;
  }

  /**
   * Judges one message of `bytes` bytes, and holds it where it is to be delivered.
   *
   * Refused are messages that are none in JSON-RPC's sense, and requests whose id is in use: the connection could
   * not tell the two apart. Ignored are responses, since nothing was asked, and cancellations of what is not running
   * or is cancelled already.
   */
  admit(message: JsonObject, bytes: number): Verdict {
    const { id, method, params } = message;
    if (typeof method !== 'string') return 'result' in message || 'error' in message ? 'ignore' : 'refuse';
    if (id === undefined)
      return method === '$/cancelRequest' ? this.#cancel(params) : this.#hold(message, bytes);
    if (!isId(id) || this.#held.has(String(id))) return 'refuse';
    return this.#hold(String(id), bytes);
  }

  /** Holds `refusal` until {@link release}. */
  hold(refusal: object): void {
    this.#hold(refusal, 0);
  }

  /** Lets go of a request by its id, or of another message. What is not held is left alone. */
  release(key: string | number | object): void {
    const name = typeof key === 'number' ? String(key) : key;
    this.#bytes -= this.#held.get(name)?.bytes ?? 0;
    this.#held.delete(name);
    if (this.#held.size === 0) for (const wake of this.#onIdle.splice(0)) wake();
    if (this.full) return;
    const resume = this.#onRoom;
    this.#onRoom = undefined;
    resume?.();
  }

  /** Calls back once it is no longer full. A later call takes the place of an earlier one. */
  onceRoom(callback: () => void): void {
    this.#onRoom = callback;
  }

  /** Takes no more: it is full from now on. */
  stop(): void {
    this.#stopped = true;
  }

  /** Resolves when nothing is held. */
  async idle(): Promise<void> {
    if (this.#held.size > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve));
  }

  #hold(key: string | object, bytes: number): Verdict {
    this.#held.set(key, { bytes, cancelled: false });
    this.#bytes += bytes;
    return 'deliver';
  }

  #cancel(params: unknown): Verdict {
    const id = isJsonObject(params) ? params['id'] : undefined;
    const held = isId(id) ? this.#held.get(String(id)) : undefined;
    if (held === undefined || held.cancelled) return 'ignore';
    held.cancelled = true;
    return 'deliver';
  }
}

/** The id is written back with the answer, so it has a bound of its own. */
function isId(id: unknown): id is string | number {
  return typeof id === 'number' || (typeof id === 'string' && id.length <= limits.idLength);
}
