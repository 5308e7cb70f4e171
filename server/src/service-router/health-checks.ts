import { probe } from '../upstream/probe.js';
import type { Upstream } from '../upstream/upstream.js';
import type { RoutedService } from './routed-service.js';

export interface HealthCheckOptions {
  /** Between two probes of a service that is well, in milliseconds. @default 30 000 */
  readonly intervalMs: number;
  /** @default 5000 */
  readonly timeoutMs: number;
  /** Failures in a row that make a service unhealthy (row 139). @default 3 */
  readonly maxErrors: number;
}

/** The first pause after a probe that failed; each is twice as long, up to the interval. */
const firstRetryMs = 200;

/**
 * Probes each service by itself, at once when it arrives, then at its interval; after a failure sooner, so that a death
 * is confirmed and a return noticed within moments.
 */
export class HealthChecks {
  readonly #upstream: Upstream;
  readonly #options: HealthCheckOptions;
  readonly #stopping = new AbortController();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #running = new Set<string>();

  constructor(upstream: Upstream, options: HealthCheckOptions) {
    this.#upstream = upstream;
    this.#options = options;
  }

  /** Probes now, and from now on. */
  watch(service: RoutedService): void {
    clearTimeout(this.#timers.get(service.name));
    void this.#check(service);
  }

  forget({ name }: RoutedService): void {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }

  stop(): void {
    this.#stopping.abort();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  async #check(service: RoutedService): Promise<void> {
    const { name, url } = service;
    const { signal } = this.#stopping;
    const isStopping = (): boolean => signal.aborted;
    if (this.#running.has(name) || isStopping()) return;
    this.#running.add(name);
    const result = await probe(this.#upstream, url, { within: this.#options.timeoutMs, signal });
    this.#running.delete(name);
    if (isStopping()) return;
    // It has moved meanwhile: what was found says nothing.
    if (url === service.url) this.#note(service, result.kind === 'healthy');
    this.#again(service);
  }

  #note(service: RoutedService, isWell: boolean): void {
    if (isWell) {
      service.healthy = true;
      service.failedProbes = 0;
      return;
    }
    service.failedProbes += 1;
    if (service.failedProbes >= this.#options.maxErrors) service.healthy = false;
  }

  #again(service: RoutedService): void {
    const { failedProbes, healthy } = service;
    const retryMs = firstRetryMs * 2 ** Math.min(Math.max(failedProbes - 1, 0), 16);
    const isSettled = failedProbes === 0 && healthy;
    const waitMs = isSettled ? this.#options.intervalMs : Math.min(retryMs, this.#options.intervalMs);
    clearTimeout(this.#timers.get(service.name));
    this.#timers.set(
      service.name,
      setTimeout(() => void this.#check(service), waitMs),
    );
  }
}
