import { HearthError } from '@hearth/protocol';
import type { EngineCapabilities } from '../engine/encoding.js';
import { cannot, type Engine } from '../engine/engine.js';
import { failureToError } from '../generation/failures.js';
import {
  type BreakerPolicy,
  type BreakerState,
  closedBreaker,
  defaultBreakerPolicy,
  describeBreaker,
  mayPass,
  onFailure,
  onNeutral,
  onPass,
  onSuccess,
} from './breaker.js';

/** How a routed request ended, as the breaker sees it. `neutral`: it says nothing of the backend. */
export type RouteOutcome = 'success' | 'failure' | 'neutral';

/** What a request needs of the engine that is to serve it. */
export type Need = Extract<keyof EngineCapabilities, 'generate' | 'embed' | 'rerank' | 'tokenize'>;

/** A request's claim on one engine. Settled exactly once; settling again does nothing. */
export interface Route {
  readonly engine: Engine;
  settle(outcome: RouteOutcome): void;
}

export interface RouterOptions {
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly breaker?: BreakerPolicy;
  /** Called when an engine's breaker opens or closes. */
  readonly onBreaker?: (engine: Engine, state: 'open' | 'closed') => void;
  /** Engines that come and go. They serve only who asks for their model by its id, which is their name. */
  readonly onDemand?: () => readonly Engine[];
}

/**
 * Chooses the engine for a request: the first, in priority order, that is ready, has the model that was asked
 * for, and whose breaker lets it pass (rows 74, 75, 77). It never retries and never fails over: one request is
 * one attempt (row 24).
 */
export class Router {
  readonly #engines: readonly Engine[];
  /** Forgotten with their engines. */
  readonly #breakers = new WeakMap<Engine, BreakerState>();
  readonly #onDemand: () => readonly Engine[];
  readonly #now: () => number;
  readonly #policy: BreakerPolicy;
  readonly #onBreaker: (engine: Engine, state: 'open' | 'closed') => void;

  /** @param engines in priority order, names unique. */
  constructor(engines: readonly Engine[], options: RouterOptions) {
    this.#engines = engines;
    this.#now = options.now;
    this.#policy = options.breaker ?? defaultBreakerPolicy;
    this.#onDemand = options.onDemand ?? (() => []);
    this.#onBreaker = options.onBreaker ?? (() => undefined);
  }

  get engines(): readonly Engine[] {
    return this.#engines;
  }

  /** Whether there are engines and each is ready. Breakers do not count (row 48). */
  get allReady(): boolean {
    // One that had to make room for a model that was asked for is not missed.
    const there = this.#engines.filter(({ state }) => state.kind !== 'stopped');
    return there.length > 0 && there.every(({ state }) => state.kind === 'ready');
  }

  /**
   * Claims an engine.
   *
   * @param model id that was asked for; undefined: any.
   * @throws HearthError `model_not_found` where no engine has that model, `embed_unsupported` and the like where
   *   those that have it cannot do what is needed, `backend_unavailable` where none that can is able to serve now.
   */
  route(model: string | undefined, need: Need = 'generate'): Route {
    const named = [
      ...this.#onDemand().filter((engine) => engine.model?.id === model),
      ...this.#engines.filter((engine) => serves(engine, model)),
    ];
    if (named.length === 0 && model !== undefined && this.#engines.length > 0) throw modelNotFound();
    const candidates = named.filter((engine) => engine.capabilities[need]);
    if (candidates.length === 0 && named.length > 0) throw failureToError(cannot(need));
    const now = this.#now();
    const engine = candidates.find(
      (candidate) => candidate.state.kind === 'ready' && mayPass(this.#breaker(candidate), now, this.#policy),
    );
    if (engine === undefined) throw noBackend();
    const state = onPass(this.#breaker(engine));
    this.#breakers.set(engine, state);
    return this.#makeRoute(engine, state.kind === 'probing');
  }

  breakerOf(engine: Engine): 'closed' | 'open' | 'half_open' {
    return describeBreaker(this.#breaker(engine), this.#now(), this.#policy);
  }

  #makeRoute(engine: Engine, isProbe: boolean): Route {
    let settled = false;
    return {
      engine,
      settle: (outcome) => {
        if (settled) return;
        settled = true;
        // What became of a request from before it opened says nothing of the probe that is out.
        if (isProbe || this.#breaker(engine).kind === 'closed') this.#settle(engine, outcome);
      },
    };
  }

  #settle(engine: Engine, outcome: RouteOutcome): void {
    const before = this.#breaker(engine);
    const after = this.#next(before, outcome);
    this.#breakers.set(engine, after);
    if (after.kind === 'open' && before.kind === 'closed') this.#onBreaker(engine, 'open');
    if (after.kind === 'closed' && before.kind !== 'closed') this.#onBreaker(engine, 'closed');
  }

  #next(before: BreakerState, outcome: RouteOutcome): BreakerState {
    const now = this.#now();
    switch (outcome) {
      case 'success':
        return onSuccess();
      case 'failure':
        return onFailure(before, now, this.#policy);
      case 'neutral':
        return onNeutral(before, now, this.#policy);
    }
  }

  #breaker(engine: Engine): BreakerState {
    return this.#breakers.get(engine) ?? closedBreaker;
  }
}

/** Whether an engine serves requests that name this model, or none. */
export function serves(engine: Engine, model: string | undefined): boolean {
  return (
    model === undefined || engine.model === undefined || engine.model.id === model || engine.name === model
  );
}

function noBackend(): HearthError {
  return new HearthError('backend_unavailable', 'no backend available: see `hearth status`');
}

function modelNotFound(): HearthError {
  return new HearthError(
    'model_not_found',
    'no such model is loaded: leave out `model`, or see `hearth status`',
  );
}
