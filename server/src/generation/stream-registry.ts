import { randomUUID } from 'node:crypto';
import type { StreamInfo } from '@hearth/protocol';

/** Made once: a new one for each end would note where it was made, which nobody reads. */
const cancelled = new DOMException('The stream was cancelled.', 'AbortError');

/** One request from arrival to its end, as the Streams view shows it. */
export class LiveStream {
  readonly id = randomUUID();
  readonly client: string;
  readonly startedAt = new Date();
  readonly #controller = new AbortController();
  readonly #onChange: () => void;
  readonly #now: () => number;
  #stage: StreamInfo['stage'] = 'queued';
  #backend: string | undefined;
  #progress: number | undefined;
  #tokens = 0;
  #firstTokenAt: number | undefined;
  #lastTokenAt: number | undefined;

  constructor(client: string, now: () => number, onChange: () => void) {
    this.client = client;
    this.#now = now;
    this.#onChange = onChange;
  }

  /** Aborted when the stream is cancelled, by its client or by anybody else. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get stage(): StreamInfo['stage'] {
    return this.#stage;
  }

  get backend(): string | undefined {
    return this.#backend;
  }

  get tokens(): number {
    return this.#tokens;
  }

  get firstTokenAt(): number | undefined {
    return this.#firstTokenAt;
  }

  cancel(): void {
    this.#controller.abort(cancelled);
  }

  /** Has been given a permit and an engine. */
  running(backend: string): void {
    this.#backend = backend;
    this.#stage = 'prefill';
    this.#onChange();
  }

  /** Has read so much of its prompt, from 0 to 1. */
  read(progress: number): void {
    this.#progress = progress;
    this.#onChange();
  }

  /** Has made one more token. */
  token(): void {
    this.#stage = 'decode';
    this.#tokens += 1;
    this.#lastTokenAt = this.#now();
    this.#firstTokenAt ??= this.#lastTokenAt;
    this.#onChange();
  }

  describe(): StreamInfo {
    const speed = this.#speed();
    return {
      streamId: this.id,
      client: this.client,
      stage: this.#stage,
      startedAt: this.startedAt.toISOString(),
      tokens: this.#tokens,
      ...(this.#backend === undefined ? {} : { backend: this.#backend }),
      ...(this.#progress === undefined || this.#stage !== 'prefill' ? {} : { progress: this.#progress }),
      ...(speed === undefined ? {} : { tokensPerSecond: speed }),
    };
  }

  #speed(): number | undefined {
    if (this.#firstTokenAt === undefined || this.#lastTokenAt === undefined) return undefined;
    const elapsed = this.#lastTokenAt - this.#firstTokenAt;
    return this.#tokens < 2 || elapsed <= 0 ? undefined : ((this.#tokens - 1) * 1000) / elapsed;
  }
}

/** All that waits or runs. Bounded by admission, and by what connections may have in flight. */
export class StreamRegistry {
  readonly #streams = new Map<string, LiveStream>();
  readonly #onChange: () => void;
  readonly #now: () => number;
  #whenEmpty: (() => void)[] = [];

  /** @param now monotonic milliseconds. @param onChange called after each change of any stream. */
  constructor(now: () => number, onChange: () => void) {
    this.#now = now;
    this.#onChange = onChange;
  }

  get size(): number {
    return this.#streams.size;
  }

  open(client: string): LiveStream {
    const stream = new LiveStream(client, this.#now, this.#onChange);
    this.#streams.set(stream.id, stream);
    this.#onChange();
    return stream;
  }

  close(stream: LiveStream): void {
    this.#streams.delete(stream.id);
    this.#onChange();
    if (this.#streams.size > 0) return;
    const waiters = this.#whenEmpty;
    this.#whenEmpty = [];
    for (const wake of waiters) wake();
  }

  /** Oldest first. */
  list(): readonly StreamInfo[] {
    return [...this.#streams.values()].map((stream) => stream.describe());
  }

  /** False where there is no such stream. */
  cancel(streamId: string): boolean {
    const stream = this.#streams.get(streamId);
    stream?.cancel();
    return stream !== undefined;
  }

  cancelAll(): void {
    for (const stream of this.#streams.values()) stream.cancel();
  }

  /** Resolves when nothing waits or runs any more. */
  async empty(): Promise<void> {
    if (this.#streams.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#whenEmpty.push(resolve);
    });
  }
}
