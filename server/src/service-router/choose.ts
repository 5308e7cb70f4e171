import { type CircuitPolicy, passes } from './circuit.js';
import { PrefixIndex } from './prefix-index.js';
import { rendezvous } from './rendezvous.js';
import { cacheTypeOf, type RoutedService } from './routed-service.js';
import { WeightedRoundRobin } from './weighted-round-robin.js';

/** How those are balanced whom nothing else tells apart. */
export type Balance = 'round-robin' | 'least-outstanding' | 'prefix';

/** What is asked for. */
export interface Wanted {
  /** Undefined: the request names none, and any service may have it. */
  readonly model: string | undefined;
  /** Whose session it is; undefined: nobody's. */
  readonly session: string | undefined;
  /** Bytes of its text; undefined: the body was not understood. */
  readonly textBytes: number | undefined;
  /** Beginning of its prompt, in blocks; only read for `prefix`. */
  readonly blocks: () => readonly number[];
  /** Services that were tried already. */
  readonly tried: ReadonlySet<string>;
}

/** A choice, and why. */
export interface Choice {
  readonly service: RoutedService;
  readonly by: 'session' | 'prefix' | 'round-robin' | 'least-outstanding';
  /** The pool that its size put it in; undefined: it has none. */
  readonly pool: 'static' | 'paged' | undefined;
  /** Among how many. */
  readonly candidates: number;
  /** Blocks that the service has seen before. */
  readonly matched: number;
  readonly blocks: readonly number[];
}

export interface ChooserOptions {
  readonly balance: Balance;
  /** Above so many bytes of text a request goes to the `static` pool. @default 51 200 */
  readonly sizeThreshold: number;
  readonly circuit: CircuitPolicy;
}

/** A service that has seen the prompt is passed over when it has so many more requests than the idlest, and 1.5 times as many. */
const imbalance = 4;
/** Less than this share of a prompt is no reason to prefer anybody. */
const leastShare = 0.1;

/**
 * Chooses a service: who is healthy and lets requests pass, has the model, and is of the best priority; then the pool
 * for its size; then its session, the beginning of its prompt, or its turn (behaviours.md 3.4).
 */
export class Chooser {
  readonly #options: ChooserOptions;
  readonly #turns = new WeightedRoundRobin();
  readonly #prefixes = new PrefixIndex();

  constructor(options: ChooserOptions) {
    this.#options = options;
  }

  /** Undefined: nobody can serve it. */
  choose(services: readonly RoutedService[], wanted: Wanted, now: number): Choice | undefined {
    const usable = services.filter(
      (service) =>
        service.healthy &&
        !wanted.tried.has(service.name) &&
        (wanted.model === undefined || service.models.has(wanted.model)) &&
        passes(service.circuit, now, this.#options.circuit),
    );
    const best = Math.min(...usable.map(({ priority }) => priority));
    const { candidates, pool } = this.#bySize(
      usable.filter(({ priority }) => priority === best),
      wanted.textBytes,
    );
    if (candidates.length === 0) return undefined;
    const blocks = this.#options.balance === 'prefix' ? wanted.blocks() : [];
    const chosen = this.#among(candidates, pool, wanted, blocks);
    return chosen === undefined
      ? undefined
      : { matched: 0, ...chosen, pool, candidates: candidates.length, blocks };
  }

  /** Remembers who has now seen the beginning of a prompt. */
  served({ blocks, service }: Choice): void {
    if (blocks.length > 0) this.#prefixes.remember(blocks, service.name);
  }

  #among(
    candidates: readonly RoutedService[],
    pool: string | undefined,
    { session, model }: Wanted,
    blocks: readonly number[],
  ): (Pick<Choice, 'service' | 'by'> & Partial<Pick<Choice, 'matched'>>) | undefined {
    if (session !== undefined) {
      const service = rendezvous(session, candidates);
      if (service !== undefined) return { service, by: 'session' };
    }
    const match = this.#byPrefix(candidates, blocks);
    if (match !== undefined) return match;
    if (this.#options.balance !== 'round-robin') {
      return {
        service: leastOutstanding(candidates, this.#turn(candidates, model, pool)),
        by: 'least-outstanding',
      };
    }
    const service = this.#turn(candidates, model, pool);
    return service === undefined ? undefined : { service, by: 'round-robin' };
  }

  #turn(
    candidates: readonly RoutedService[],
    model: string | undefined,
    pool: string | undefined,
  ): RoutedService | undefined {
    return this.#turns.choose(JSON.stringify([model, pool]), candidates);
  }

  /** The pool for a request of that size; all, where no pool of its kind is there (row 134). */
  #bySize(
    usable: readonly RoutedService[],
    textBytes: number | undefined,
  ): { readonly candidates: readonly RoutedService[]; readonly pool: Choice['pool'] } {
    if (textBytes === undefined) return { candidates: usable, pool: undefined };
    const pool = textBytes > this.#options.sizeThreshold ? 'static' : 'paged';
    const candidates = usable.filter((service) => cacheTypeOf(service) === pool);
    return candidates.length === 0 ? { candidates: usable, pool: undefined } : { candidates, pool };
  }

  #byPrefix(candidates: readonly RoutedService[], blocks: readonly number[]) {
    const match = this.#prefixes.find(blocks, (name) => candidates.some((one) => one.name === name));
    const service = candidates.find(({ name }) => name === match?.service);
    if (match === undefined || service === undefined || match.blocks < blocks.length * leastShare)
      return undefined;
    const idlest = Math.min(...candidates.map(({ outstanding }) => outstanding));
    const isOverloaded = service.outstanding - idlest >= imbalance && service.outstanding > 1.5 * idlest;
    return isOverloaded ? undefined : { service, by: 'prefix' as const, matched: match.blocks };
  }
}

/** The one with the least to do for its weight; among equals, the one whose turn it is. */
function leastOutstanding(
  candidates: readonly RoutedService[],
  turn: RoutedService | undefined,
): RoutedService {
  const load = ({ outstanding, weight }: RoutedService): number => outstanding / Math.max(weight, 1);
  const least = Math.min(...candidates.map(load));
  const idlest = candidates.filter((one) => load(one) === least);
  const [first] = idlest;
  if (first === undefined) throw new RangeError('nobody to choose from');
  return idlest.find((one) => one === turn) ?? first;
}
