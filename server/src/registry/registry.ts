import type { HealthStatus, Registration, RegistrationUpdate, ServiceRecord } from './service-record.js';

/** The two times that a registry needs: one that only goes forward, for leases, and one to show. */
export interface RegistryClock {
  /** Milliseconds, monotonic. */
  monotonic(): number;
  /** Milliseconds since 1970. */
  wall(): number;
}

/** The timings of InfiniLM-SVC (row 124). Milliseconds. */
export interface RegistryTimes {
  /** Without a heartbeat for so long, a service is not healthy. @default 120 000 */
  readonly expireMs: number;
  /** Without a heartbeat for so long, it is removed at the next sweep. @default 300 000 */
  readonly removeMs: number;
}

export const defaultRegistryTimes: RegistryTimes = { expireMs: 120_000, removeMs: 300_000 };

/** Most services that a registry lists. */
export const mostServices = 1024;

export interface RegistryStats {
  readonly total_services: number;
  readonly healthy_services: number;
  readonly unhealthy_services: number;
  readonly status_distribution: Readonly<Record<string, number>>;
  readonly host_distribution: Readonly<Record<string, number>>;
  /** Seconds. */
  readonly uptime: number;
}

interface Entry {
  readonly registration: Registration;
  readonly registeredAt: number;
  /** Monotonic: whoever sets the wall clock neither drops nor keeps a service (row 124). */
  readonly heardAt: number;
  readonly heardWall: number;
  readonly health: HealthStatus;
}

/** There is no room for another service. */
export class RegistryFull extends Error {
  override readonly name = 'RegistryFull';
}

/**
 * The list of services: a store that reads its clock and keeps no timer. Each change that a reader could see raises
 * {@link revision}; a heartbeat alone is none.
 */
export class Registry {
  readonly #clock: RegistryClock;
  readonly #times: RegistryTimes;
  readonly #entries = new Map<string, Entry>();
  readonly #startedAt: number;
  readonly #onChange: () => void;
  #revision = 1;
  /** Names of those who were healthy when it was last looked. */
  #healthy = new Set<string>();

  /** @param onChange Called after each rise of {@link revision}. */
  constructor(clock: RegistryClock, times: RegistryTimes = defaultRegistryTimes, onChange = () => {}) {
    this.#clock = clock;
    this.#times = times;
    this.#onChange = onChange;
    this.#startedAt = clock.monotonic();
  }

  /** Rises with each visible change, and by nothing else. */
  get revision(): number {
    return this.#revision;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Adds a service, or replaces the one with its name (row 123). @throws RegistryFull */
  register(registration: Registration): ServiceRecord {
    const before = this.#entries.get(registration.name);
    if (before === undefined && this.#entries.size >= mostServices) throw new RegistryFull();
    const now = this.#clock.monotonic();
    const entry: Entry = {
      registration,
      registeredAt: this.#clock.wall(),
      heardAt: now,
      heardWall: this.#clock.wall(),
      // What was found of another process at that address says nothing of this one.
      health:
        before !== undefined && sameService(before.registration, registration) ? before.health : 'unknown',
    };
    this.#entries.set(registration.name, entry);
    this.#changed();
    return this.#describe(entry);
  }

  /** Changes a record, which counts as a heartbeat. Undefined: no such service. */
  update(name: string, update: RegistrationUpdate): ServiceRecord | undefined {
    const entry = this.#entries.get(name);
    if (entry === undefined) return undefined;
    const given = Object.fromEntries(Object.entries(update).filter(([, value]) => value !== undefined));
    this.#entries.set(name, { ...this.#heard(entry), registration: { ...entry.registration, ...given } });
    this.#changed();
    return this.get(name);
  }

  /** A sign of life. False: no such service. */
  heartbeat(name: string, status: string | undefined): boolean {
    const entry = this.#entries.get(name);
    if (entry === undefined) return false;
    const registration = status === undefined ? entry.registration : { ...entry.registration, status };
    this.#entries.set(name, { ...this.#heard(entry), registration });
    if (registration.status === entry.registration.status) this.noticeTime();
    else this.#changed();
    return true;
  }

  /** False: no such service. */
  remove(name: string): boolean {
    const found = this.#entries.delete(name);
    if (found) this.#changed();
    return found;
  }

  /**
   * Writes down what a probe found.
   *
   * @param url Where it was found: of a service that has moved meanwhile, it says nothing.
   * @param isSignOfLife Whether `healthy` is to count as a heartbeat.
   */
  probed(name: string, url: string, health: HealthStatus, isSignOfLife = false): void {
    const entry = this.#entries.get(name);
    if (entry?.registration.url !== url) return;
    const heard = isSignOfLife && health === 'healthy' ? this.#heard(entry) : entry;
    this.#entries.set(name, { ...heard, health });
    if (entry.health === health) this.noticeTime();
    else this.#changed();
  }

  get(name: string): ServiceRecord | undefined {
    const entry = this.#entries.get(name);
    return entry === undefined ? undefined : this.#describe(entry);
  }

  /** Every record, or those that fit (row 125). In order of their names. */
  list(filter: { readonly status?: string; readonly healthy?: boolean } = {}): readonly ServiceRecord[] {
    return [...this.#entries.values()]
      .map((entry) => this.#describe(entry))
      .filter(
        (record) =>
          (filter.status === undefined || record.status === filter.status) &&
          (filter.healthy === undefined || record.is_healthy === filter.healthy),
      )
      .toSorted((left, right) => (left.name < right.name ? -1 : 1));
  }

  /** Removes who has been silent for too long, and says who that was. */
  sweep(): readonly string[] {
    const now = this.#clock.monotonic();
    const gone = [...this.#entries]
      .filter(([, entry]) => now - entry.heardAt > this.#times.removeMs)
      .map(([name]) => name);
    for (const name of gone) this.#entries.delete(name);
    if (gone.length > 0) this.#changed();
    return gone;
  }

  /** Looks whether time alone has changed who is healthy; if so, the revision rises. */
  noticeTime(): void {
    const healthy = this.#namesOfHealthy();
    const same = healthy.size === this.#healthy.size && [...healthy].every((name) => this.#healthy.has(name));
    if (!same) this.#changed();
  }

  /** Milliseconds until the next service that is healthy now expires; undefined: there is none. */
  untilNextExpiry(): number | undefined {
    const now = this.#clock.monotonic();
    const waits = [...this.#entries.values()]
      .filter((entry) => this.#isHealthy(entry))
      .map((entry) => entry.heardAt + this.#times.expireMs - now);
    return waits.length === 0 ? undefined : Math.max(0, Math.min(...waits));
  }

  stats(): RegistryStats {
    const entries = [...this.#entries.values()];
    const healthy = this.#namesOfHealthy().size;
    return {
      total_services: entries.length,
      healthy_services: healthy,
      unhealthy_services: entries.length - healthy,
      status_distribution: countBy(entries.map(({ registration }) => registration.status)),
      host_distribution: countBy(entries.map(({ registration }) => registration.host)),
      uptime: Math.floor((this.#clock.monotonic() - this.#startedAt) / 1000),
    };
  }

  #describe(entry: Entry): ServiceRecord {
    return {
      ...entry.registration,
      timestamp: new Date(entry.registeredAt).toISOString(),
      last_heartbeat: entry.heardWall / 1000,
      health_status: entry.health,
      is_healthy: this.#isHealthy(entry),
    };
  }

  #isHealthy({ registration, heardAt, health }: Entry): boolean {
    const isFresh = this.#clock.monotonic() - heardAt < this.#times.expireMs;
    return registration.status === 'running' && isFresh && health !== 'unhealthy';
  }

  #heard(entry: Entry): Entry {
    return { ...entry, heardAt: this.#clock.monotonic(), heardWall: this.#clock.wall() };
  }

  #namesOfHealthy(): Set<string> {
    const healthy = [...this.#entries].filter(([, entry]) => this.#isHealthy(entry));
    return new Set(healthy.map(([name]) => name));
  }

  #changed(): void {
    this.#healthy = this.#namesOfHealthy();
    this.#revision += 1;
    this.#onChange();
  }
}

function sameService(left: Registration, right: Registration): boolean {
  return left.url === right.url && left.host === right.host && left.port === right.port;
}

function countBy(values: readonly string[]): Readonly<Record<string, number>> {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return Object.fromEntries(counts);
}
