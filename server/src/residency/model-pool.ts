import { EventEmitter } from 'node:events';
import { HearthError, type LoadPhase } from '@hearth/protocol';
import type { Engine } from '../engine/engine.js';
import { type Action, type Demand, plan, type ResidencyPolicy, type Slot } from './plan.js';

/** A model that can be loaded. */
export interface PoolModel {
  readonly id: string;
  /** What it will take in bytes, roughly; the load itself looks more closely. */
  readonly bytes: number;
  /** A new engine for it, named by its id. Called once for each load. */
  readonly makeEngine: () => Engine;
}

/** Time as the pool needs it; a test has its own. */
export interface PoolClock {
  /** Monotonic milliseconds, of the same zero as those of the demand. */
  now(): number;
  /** Calls back once after `delayMs`; gives what cancels it. */
  schedule(delayMs: number, callback: () => void): () => void;
}

export interface PoolParts {
  readonly policy: ResidencyPolicy;
  readonly clock: PoolClock;
  /** What a name means; undefined: there is no such model. */
  readonly find: (id: string) => Promise<PoolModel | undefined>;
  /** Who waits for and runs with each model, now. */
  readonly demand: () => ReadonlyMap<string, Demand>;
  /** Memory that can be had now, in bytes. */
  readonly freeBytes: () => number;
  /** Told which models can serve, whenever that changes. */
  readonly onServable: (ids: ReadonlySet<string>) => void;
  /** To end all who wait for a model. */
  readonly onRefused: (id: string, error: HearthError) => void;
}

export interface PoolEvents {
  /** An engine was made and is about to be started. */
  engine: [engine: Engine];
  loading: [id: string, phase: LoadPhase['phase'], progress: number | undefined];
  loaded: [id: string, loadMs: number];
  unloaded: [id: string, why: 'idle' | 'room' | 'asked' | 'failed'];
  /** Anything about any model. */
  change: [];
}

/** Somebody who wants a model and has no request. */
interface Wish {
  readonly id: string;
  readonly at: number;
  readonly resolve: () => void;
  readonly reject: (error: HearthError) => void;
}

interface Resident {
  readonly model: PoolModel;
  state: Slot['state'];
  pinned: boolean;
  since: number;
  usedAt: number;
  engine: Engine | undefined;
  /** Why it could not be loaded. */
  failure: HearthError | undefined;
}

/** Most models that are known at once, loaded or not; beyond it those that nobody uses are forgotten. */
const mostKnown = 256;

/**
 * Loads models on demand and lets them go: carries out what {@link plan} decides. A load belongs to the pool, so that
 * nobody's leaving ends it, and is shared by all who wait.
 */
export class ModelPool {
  readonly events = new EventEmitter<PoolEvents>();
  readonly #parts: PoolParts;
  readonly #residents = new Map<string, Resident>();
  readonly #stopping = new Set<Promise<void>>();
  #cancelTimer: () => void = () => undefined;
  #servable: ReadonlySet<string> = new Set();
  /** Models that take no new work; see {@link Plan.closed}. */
  #making: ReadonlySet<string> = new Set();
  #wasRunning: ReadonlySet<string> = new Set();
  readonly #wishes = new Set<Wish>();
  #isDue = false;
  #closed = false;
  #loads = 0;

  constructor(parts: PoolParts) {
    this.#parts = parts;
    this.events.setMaxListeners(0);
  }

  /** Loads that were begun since the start. */
  get loads(): number {
    return this.#loads;
  }

  /** Engines that are loaded or being loaded. */
  get engines(): readonly Engine[] {
    return [...this.#residents.values()].flatMap(({ engine }) => (engine === undefined ? [] : [engine]));
  }

  /** How each known model is, by its id. */
  states(): ReadonlyMap<string, Slot['state']> {
    return new Map([...this.#residents].map(([id, { state }]) => [id, state]));
  }

  /** Takes in an engine that was made elsewhere and runs already: it is unloaded as any other unless it is pinned. */
  adopt(model: PoolModel, engine: Engine, pinned: boolean): void {
    const now = this.#parts.clock.now();
    const resident: Resident = {
      model,
      state: 'loading',
      pinned,
      since: now,
      usedAt: now,
      engine,
      failure: undefined,
    };
    this.#residents.set(model.id, resident);
    this.#follow(resident, engine);
    this.#hear(resident, engine);
  }

  /** The model's id, after making sure that it can be asked for. @throws HearthError `model_not_found` */
  async know(id: string): Promise<string> {
    if (this.#residents.has(id)) return id;
    const model = await this.#parts.find(id);
    if (model === undefined) throw notFound();
    if (!this.#residents.has(model.id)) {
      this.#forget();
      const now = this.#parts.clock.now();
      this.#residents.set(model.id, {
        model,
        state: 'absent',
        pinned: false,
        since: now,
        usedAt: now,
        engine: undefined,
        failure: undefined,
      });
    }
    return model.id;
  }

  /**
   * Wants a model without a request, as before a switch: it counts as one that waits until `leave` is called. `ready`
   * rejects with the reason where it cannot be loaded.
   */
  want(id: string): { readonly ready: Promise<void>; readonly leave: () => void } {
    let leave = (): void => undefined;
    const ready = new Promise<void>((resolve, reject) => {
      const wish: Wish = { id, at: this.#parts.clock.now(), resolve, reject };
      this.#wishes.add(wish);
      leave = () => {
        this.#wishes.delete(wish);
        this.consider();
      };
    });
    // Whoever has left does not listen any more.
    ready.catch(() => undefined);
    this.#grantWishes();
    this.consider();
    return { ready, leave };
  }

  /** Keeps a model from being unloaded, or no longer. */
  pin(id: string, pinned: boolean): void {
    const resident = this.#residents.get(id);
    if (resident === undefined) return;
    resident.pinned = pinned;
    this.consider();
  }

  /** Looks again at what is to be done, soon. To be called whenever the demand may have changed. */
  consider(): void {
    if (this.#isDue || this.#closed) return;
    this.#isDue = true;
    queueMicrotask(() => {
      this.#isDue = false;
      this.#carryOut();
    });
  }

  /** Unloads a model that nobody uses. False: it is in use. */
  async unload(id: string): Promise<boolean> {
    const resident = this.#residents.get(id);
    if (resident === undefined || resident.engine === undefined) return true;
    const wanted = this.#demand().get(id);
    if (resident.pinned || (wanted !== undefined && wanted.running + wanted.waiting > 0)) return false;
    await this.#unload(resident, 'asked');
    return true;
  }

  /** Forgets a model that is not loaded, as when its file has gone. */
  drop(id: string): void {
    if (this.#residents.get(id)?.engine === undefined) this.#residents.delete(id);
  }

  /** Ends everything. Resolves when nothing of it is left. */
  async stop(): Promise<void> {
    this.#closed = true;
    this.#cancelTimer();
    await Promise.all(this.engines.map((engine) => engine.stop()));
    await Promise.all(this.#stopping);
  }

  #carryOut(): void {
    if (this.#closed) return;
    const now = this.#parts.clock.now();
    const demand = this.#demand();
    const running = new Set([...demand].filter(([, wanted]) => wanted.running > 0).map(([id]) => id));
    for (const id of [...running, ...this.#wasRunning]) {
      const resident = this.#residents.get(id);
      if (resident !== undefined) resident.usedAt = now;
    }
    this.#wasRunning = running;
    const slots = [...this.#residents.values()].map(toSlot);
    // The system is asked for a quarter of a millisecond, and this is on the way of every request.
    const mayLoad = slots.some(({ state }) => state === 'absent' || state === 'failed');
    const freeBytes = mayLoad ? this.#parts.freeBytes() : 0;
    const decided = plan({ slots, demand, freeBytes, now }, this.#parts.policy);
    this.#making = decided.closed;
    this.#tellServable();
    for (const action of decided.actions) this.#act(action);
    this.#cancelTimer();
    this.#cancelTimer =
      decided.nextAt === undefined
        ? () => undefined
        : this.#parts.clock.schedule(Math.max(1, Math.ceil(decided.nextAt - now)), () => this.consider());
  }

  #act(action: Action): void {
    const resident = this.#residents.get(action.id);
    if (resident === undefined) return;
    switch (action.kind) {
      case 'load':
        this.#load(resident);
        return;
      case 'unload':
        void this.#unload(resident, action.why);
        return;
      case 'refuse':
        this.#refuse(action.id, refusal(resident, action.why));
    }
  }

  #load(resident: Resident): void {
    const engine = resident.model.makeEngine();
    this.#loads += 1;
    this.#change(resident, 'loading');
    resident.engine = engine;
    resident.failure = undefined;
    this.#follow(resident, engine);
    this.events.emit('engine', engine);
    engine.start();
  }

  #follow(resident: Resident, engine: Engine): void {
    engine.events.on('state', () => {
      this.#hear(resident, engine);
    });
  }

  #hear(resident: Resident, engine: Engine): void {
    // One that is on its way out, or was replaced, has nothing more to say.
    if (resident.engine !== engine || resident.state === 'unloading') return;
    const { state } = engine;
    switch (state.kind) {
      case 'starting':
        return;
      case 'loading':
        this.events.emit('loading', resident.model.id, state.phase, state.progress);
        return;
      case 'restarting':
        // Its requests have ended with it; new ones wait until it is back.
        this.#change(resident, 'loading');
        break;
      case 'ready': {
        if (resident.state === 'ready') return;
        const loadMs = this.#parts.clock.now() - resident.since;
        this.#change(resident, 'ready');
        this.#grantWishes();
        this.events.emit('loaded', resident.model.id, loadMs);
        break;
      }
      case 'failed':
        resident.failure = new HearthError(state.code, state.reason);
        this.#refuse(resident.model.id, resident.failure);
        void this.#unload(resident, 'failed');
        return;
      case 'stopped':
        resident.engine = undefined;
        this.#change(resident, 'absent');
        break;
    }
    this.#tellServable();
    this.consider();
  }

  async #unload(resident: Resident, why: 'idle' | 'room' | 'asked' | 'failed'): Promise<void> {
    const { engine } = resident;
    if (engine === undefined || resident.state === 'unloading') return;
    this.#change(resident, 'unloading');
    this.#tellServable();
    const stopped = engine.stop();
    this.#stopping.add(stopped);
    await stopped;
    this.#stopping.delete(stopped);
    resident.engine = undefined;
    this.#change(resident, why === 'failed' ? 'failed' : 'absent');
    this.events.emit('unloaded', resident.model.id, why);
    this.consider();
  }

  #change(resident: Resident, state: Slot['state']): void {
    resident.state = state;
    resident.since = this.#parts.clock.now();
    if (state === 'ready') resident.usedAt = resident.since;
    this.events.emit('change');
  }

  #tellServable(): void {
    const servable = new Set(
      [...this.#residents]
        .filter(([id, { state }]) => state === 'ready' && !this.#making.has(id))
        .map(([id]) => id),
    );
    const isSame =
      servable.size === this.#servable.size && [...servable].every((id) => this.#servable.has(id));
    if (isSame) return;
    this.#servable = servable;
    this.#parts.onServable(servable);
  }

  #refuse(id: string, error: HearthError): void {
    for (const wish of this.#wishes) {
      if (wish.id !== id) continue;
      this.#wishes.delete(wish);
      wish.reject(error);
    }
    this.#parts.onRefused(id, error);
  }

  #grantWishes(): void {
    for (const wish of this.#wishes) {
      if (this.#residents.get(wish.id)?.state === 'ready') wish.resolve();
    }
  }

  /** Who waits and runs, wishes included. */
  #demand(): ReadonlyMap<string, Demand> {
    if (this.#wishes.size === 0) return this.#parts.demand();
    const demand = new Map(this.#parts.demand());
    for (const { id, at } of this.#wishes) {
      const known = demand.get(id) ?? { waiting: 0, oldestAt: Infinity, running: 0 };
      demand.set(id, { ...known, waiting: known.waiting + 1, oldestAt: Math.min(known.oldestAt, at) });
    }
    return demand;
  }

  /** Keeps the number of known models bounded. */
  #forget(): void {
    for (const [id, { engine }] of this.#residents) {
      if (this.#residents.size < mostKnown) return;
      if (engine === undefined && !this.#demand().has(id)) this.#residents.delete(id);
    }
  }
}

function toSlot({ model, state, pinned, since, usedAt }: Resident): Slot {
  return { id: model.id, state, bytes: model.bytes, pinned, since, usedAt };
}

function refusal({ failure }: Resident, why: 'failed' | 'no_room'): HearthError {
  if (why === 'failed' && failure !== undefined) return failure;
  return new HearthError(
    'insufficient_memory',
    'As many models are loaded as may be, and all of them are to stay. Switch to this model, or raise max_loaded_models.',
  );
}

function notFound(): HearthError {
  return new HearthError(
    'model_not_found',
    'no such model: leave out `model`, or see `hearth models` for those that are there',
  );
}
