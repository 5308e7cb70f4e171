import { setTimeout as delay } from 'node:timers/promises';
import type { RegistryClient } from '../registry/registry-client.js';
import type { Registration } from '../registry/service-record.js';

/**
 * How long to wait after a registry took no registration, in milliseconds: briefly at first, since it may be starting
 * too, and 2 s from then on (behaviours.md 3.3).
 */
const firstRetryMs = 100;
const longestRetryMs = 2000;
/** How long a farewell may take at the end. */
const farewellMs = 1000;

/**
 * Keeps services on a registry's list: registers them, sends heartbeats, tells a change of state at once, and registers
 * anew where the registry has forgotten them, as after a restart of its own.
 */
export class Registrar {
  readonly #client: RegistryClient;
  readonly #heartbeatMs: number;
  readonly #stopping = new AbortController();
  readonly #services = new Map<string, { readonly registration: Registration; listed: boolean }>();
  #timer: NodeJS.Timeout | undefined;
  #retry: Promise<void> | undefined;

  constructor(client: RegistryClient, heartbeatMs: number) {
    this.#client = client;
    this.#heartbeatMs = heartbeatMs;
  }

  start(): void {
    this.#timer = setInterval(() => void this.#beatAll(), this.#heartbeatMs);
  }

  /** Lists a service, or changes what is said of it. Goes on trying in the background. */
  list(registration: Registration): void {
    this.#services.set(registration.name, { registration, listed: false });
    void this.#registerAll();
  }

  /** Says at once how a service is. A service that was never listed is left alone. */
  tell(name: string, status: string): void {
    const service = this.#services.get(name);
    if (service === undefined || service.registration.status === status) return;
    this.#services.set(name, { ...service, registration: { ...service.registration, status } });
    void this.#beat(name);
  }

  /** Takes everything off the list, as far as that can be done in a moment. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    clearInterval(this.#timer);
    const late = AbortSignal.timeout(farewellMs);
    await Promise.all([...this.#services.keys()].map((name) => this.#client.unregister(name, late)));
  }

  #registerAll(): Promise<void> {
    this.#retry ??= this.#tryAll().finally(() => {
      this.#retry = undefined;
    });
    return this.#retry;
  }

  async #tryAll(): Promise<void> {
    const { signal } = this.#stopping;
    for (let retryMs = firstRetryMs; ;) {
      const missing = [...this.#services.values()].filter(({ listed }) => !listed);
      if (missing.length === 0 || signal.aborted) return;
      const done = await Promise.all(
        missing.map(async (service) => {
          service.listed = await this.#client.register(service.registration, signal);
          return service.listed;
        }),
      );
      // Somebody may have been added or changed meanwhile; who was refused waits.
      if (!done.includes(false)) continue;
      await delay(retryMs, undefined, { signal }).catch(() => undefined);
      retryMs = Math.min(retryMs * 2, longestRetryMs);
    }
  }

  async #beatAll(): Promise<void> {
    if ([...this.#services.values()].some(({ listed }) => !listed)) void this.#registerAll();
    await Promise.all([...this.#services.keys()].map((name) => this.#beat(name)));
  }

  async #beat(name: string): Promise<void> {
    const service = this.#services.get(name);
    if (service?.listed !== true) return;
    const answer = await this.#client.heartbeat(name, service.registration.status, this.#stopping.signal);
    if (answer !== 'unknown' || this.#stopping.signal.aborted) return;
    service.listed = false;
    await this.#registerAll();
  }
}
