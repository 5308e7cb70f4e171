import type { ListedService } from '../registry/registry-client.js';
import { newService, placeOf, type RoutedService } from './routed-service.js';

/** Most services that a router knows. */
export const mostRouted = 1024;

/** What a list changed. */
export interface TableChange {
  /** New, or at another place than before. */
  readonly arrived: readonly RoutedService[];
  /** Missing for the first time. */
  readonly missing: readonly RoutedService[];
}

/** The services that a router may choose from: those of a file for ever, those of a registry while it lists them (row 128). */
export class ServiceTable {
  readonly #services = new Map<string, RoutedService>();
  /** The list in order, until somebody comes or goes: it is read with every request. */
  #sorted: readonly RoutedService[] | undefined;

  constructor(fixed: readonly ListedService[] = []) {
    for (const one of fixed.slice(0, mostRouted)) this.#services.set(one.name, newService(one, true));
  }

  /** In order of their names, so that nothing depends on who came first. */
  list(): readonly RoutedService[] {
    this.#sorted ??= [...this.#services.values()].toSorted((left, right) =>
      left.name < right.name ? -1 : 1,
    );
    return this.#sorted;
  }

  get(name: string): RoutedService | undefined {
    return this.#services.get(name);
  }

  /** Takes over a list of the registry; only services of type `openai-api` are routed to. */
  sync(listed: readonly ListedService[], now: number): TableChange {
    const arrived: RoutedService[] = [];
    const there = new Set<string>();
    for (const one of listed) {
      if (one.metadata['type'] !== 'openai-api' || !isHttpUrl(one.url)) continue;
      const known = this.#services.get(one.name);
      if (known?.isStatic === true) continue;
      there.add(one.name);
      if (known === undefined) {
        if (this.#services.size >= mostRouted) continue;
        const service = newService(one, false);
        this.#services.set(one.name, service);
        this.#sorted = undefined;
        arrived.push(service);
        continue;
      }
      const moved = known.url !== one.url;
      const returned = known.missingSince !== undefined;
      Object.assign(known, placeOf(one));
      known.missingSince = undefined;
      if (moved || returned) arrived.push(known);
    }
    const missing = [...this.#services.values()].filter(
      ({ name, isStatic, missingSince }) => !isStatic && missingSince === undefined && !there.has(name),
    );
    for (const service of missing) service.missingSince = now;
    return { arrived, missing };
  }

  /** Removes who has been missing for `graceMs`, and says who that was. */
  removeMissing(now: number, graceMs: number): readonly RoutedService[] {
    const gone = [...this.#services.values()].filter(
      ({ missingSince }) => missingSince !== undefined && now - missingSince >= graceMs,
    );
    for (const { name } of gone) this.#services.delete(name);
    if (gone.length > 0) this.#sorted = undefined;
    return gone;
  }
}

function isHttpUrl(text: string): boolean {
  return URL.canParse(text) && ['http:', 'https:'].includes(new URL(text).protocol);
}

/** Every model of the healthy services, once, in order (row 129). */
export function aggregateModels(
  services: readonly RoutedService[],
): readonly Readonly<Record<string, unknown>>[] {
  const models = new Map<string, Readonly<Record<string, unknown>>>();
  for (const { healthy, metadata, models: ids } of services) {
    if (!healthy) continue;
    const detailed = Array.isArray(metadata['models_list']) ? metadata['models_list'] : [];
    for (const entry of detailed as readonly unknown[]) {
      if (typeof entry !== 'object' || entry === null || !('id' in entry) || typeof entry.id !== 'string')
        continue;
      if (ids.has(entry.id) && !models.has(entry.id)) models.set(entry.id, { ...entry });
    }
    for (const id of ids) if (!models.has(id)) models.set(id, { id, object: 'model' });
  }
  return [...models].toSorted(([left], [right]) => (left < right ? -1 : 1)).map(([, model]) => model);
}
