import { EventEmitter } from 'node:events';
import type { AdminFrame } from '@hearth/protocol';

/**
 * The daemon's lifecycle as the admin socket shows it (behaviours.md 1.7): one present state, which is kept for
 * whoever comes later, and the capabilities of each backend in a place of their own, which the state never
 * overwrites (rows 50, 57).
 */
export class StatusBoard {
  readonly events = new EventEmitter<{ frame: [frame: AdminFrame] }>();
  readonly #capabilities = new Map<string, AdminFrame>();
  #state: AdminFrame = { id: 'admin', type: 'status', status: 'starting' };

  constructor() {
    // One listener an admin client; their number is bounded where they are accepted.
    this.events.setMaxListeners(0);
  }

  publish(frame: AdminFrame): void {
    if (frame.status === 'capabilities') this.#capabilities.set(frame.backend, frame);
    else this.#state = frame;
    this.events.emit('frame', frame);
  }

  /** News that does not become the present state. */
  tell(frame: AdminFrame): void {
    this.events.emit('frame', frame);
  }

  /** What a new subscriber is told first: capabilities, then the present state. */
  snapshot(): readonly AdminFrame[] {
    return [...this.#capabilities.values(), this.#state];
  }
}
