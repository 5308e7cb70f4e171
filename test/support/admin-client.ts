import { type Frame, RawClient } from './raw-client.js';
import { ceilingMs } from './wait.js';

/** A subscriber of the admin socket, which only listens. */
export class AdminClient {
  readonly raw: RawClient;
  readonly #seen: Frame[] = [];

  private constructor(raw: RawClient) {
    this.raw = raw;
  }

  static async connect(adminSocket: string): Promise<AdminClient> {
    return new AdminClient(await RawClient.connect(adminSocket));
  }

  /** Frames in the order in which they came and were awaited. */
  get seen(): readonly Frame[] {
    return this.#seen;
  }

  async next(timeoutMs = ceilingMs): Promise<Frame> {
    const frame = await this.raw.frame(timeoutMs);
    this.#seen.push(frame);
    return frame;
  }

  /** Reads on until a frame with this status has come, and gives it. */
  async until(status: string, timeoutMs = ceilingMs): Promise<Frame> {
    for (;;) {
      const frame = await this.next(timeoutMs);
      if (frame['status'] === status) return frame;
    }
  }

  /** Reads on to the end of the stream and gives everything that has been seen. */
  async untilEnd(): Promise<readonly Frame[]> {
    this.#seen.push(...(await this.raw.rest()));
    return this.#seen;
  }

  destroy(): void {
    this.raw.destroy();
  }
}
