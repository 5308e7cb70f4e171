import { EventEmitter } from 'node:events';
import {
  type BestModelRequest,
  type CatalogueModel,
  HearthError,
  type LoadPhase,
  type ModelEntry,
  type ModelsRequest,
  type PullModelRequest,
} from '@hearth/protocol';
import type { ModelsApi } from '../daemon-api.js';
import type { Engine } from '../engine/engine.js';
import type { Residency } from '../generation/generator.js';
import { type CatalogueEntry, readCatalogue } from '../models/catalogue/catalogue.js';
import { recommend, usualContextTokens } from '../models/catalogue/recommend.js';
import type { MeasuredMachine, MeasuringStep } from '../models/machine/measure-machine.js';
import { readMeasurement } from '../models/machine/measure-machine.js';
import { freeMemory } from '../models/memory/free-memory.js';
import { checkGguf } from '../models/gguf-check.js';
import type { ModelSource } from '../models/model-source.js';
import type { PullPolicy } from '../models/pull/pull-policy.js';
import type { Manifest } from '../models/store/manifest.js';
import { isModelName } from '../models/store/model-name.js';
import type { ModelStore } from '../models/store/model-store.js';
import type { RecordActivity } from '../record-activity.js';
import { BestModels, toCatalogueModel } from './best-models.js';
import { DownloadOffers } from './download-offers.js';
import { ModelPool, type PoolModel } from './model-pool.js';
import type { Demand, ResidencyPolicy } from './plan.js';
import type { RememberedChoice } from './remembered-choice.js';
import { SharedWork, type Work } from './shared-work.js';

/** What a daemon that loads models on demand is made with. */
export interface ModelsConfig {
  readonly store: ModelStore;
  readonly policy: ResidencyPolicy;
  readonly pullPolicy: PullPolicy;
  /** Where `hf:` names lead. */
  readonly huggingFace: string;
  /** Name of the variable that holds the token for fetching. */
  readonly tokenEnv: string;
  readonly makeEngine: (source: ModelSource) => Engine;
  /** Measures how fast this machine is, and remembers it where nothing else ran meanwhile. */
  readonly measure: (
    onStep: (step: MeasuringStep) => void,
    isQuiet: () => boolean,
    signal: AbortSignal,
  ) => Promise<MeasuredMachine>;
  /** The model that the daemon was started with, which serves whoever names none. */
  readonly own: { readonly source: ModelSource; readonly engine: Engine } | undefined;
  /** What was switched to last; undefined: somebody named the daemon's model, and that one it begins with. */
  readonly choice: RememberedChoice | undefined;
}

/** What {@link Models} asks of the daemon. */
export interface ModelsHost {
  readonly demand: () => ReadonlyMap<string, Demand>;
  /** Requests that run on an engine, however they came to it. */
  readonly runningOn: (engineName: string) => number;
  /** Whether an engine that is always there serves a model of that name. */
  readonly isFixed: (model: string) => boolean;
  readonly setServable: (ids: ReadonlySet<string>) => void;
  readonly refuse: (id: string, error: HearthError) => void;
  readonly record: RecordActivity;
  /** Asks a client whether a model may be fetched. @throws HearthError where nobody is there to be asked */
  readonly confirmDownload: (model: string, bytes: number) => Promise<boolean>;
  /** To follow an engine that was made. */
  readonly onEngine: (engine: Engine) => void;
  /** News for the admin socket, which does not become the daemon's state. */
  readonly tell: (phase: LoadPhase) => void;
  /** To say again that the daemon is ready, when such news is over. */
  readonly tellReady: () => void;
}

type Fetch = Work<PullModelRequest.Progress, PullModelRequest.Result>;
type PullParams = Pick<PullModelRequest.Params, 'source' | 'name'>;

/** Roughly what a model takes beside its file. The load itself looks at the header. */
const beside = { share: 1.15, bytes: 256 * 1024 * 1024 } as const;

/**
 * The models of a daemon: those of the store, loaded as they are asked for, and the one that it was started with, until
 * somebody switches to another.
 */
export class Models implements ModelsApi, Residency {
  #header: Promise<Partial<OwnHeader>> | undefined;
  readonly events = new EventEmitter<{ change: [] }>();
  readonly pool: ModelPool;
  readonly #config: ModelsConfig;
  readonly #host: ModelsHost;
  /** The model for whoever names none; undefined: the daemon's own. */
  #chosen: string | undefined;
  readonly #pulls = new SharedWork<PullModelRequest.Progress, PullModelRequest.Result>();
  readonly #best: BestModels;
  /** Ends the return to what was switched to last. */
  readonly #returning = new AbortController();
  readonly #offers: DownloadOffers;

  constructor(config: ModelsConfig, host: ModelsHost) {
    this.#config = config;
    this.#host = host;
    this.events.setMaxListeners(0);
    this.#offers = new DownloadOffers({
      ask: host.confirmDownload,
      pull: (source) => {
        this.#pulls.start(`${source}\n`, this.#fetch({ source }));
      },
      now: () => performance.now(),
    });
    this.#best = new BestModels({
      remembered: () => readMeasurement(config.store),
      measure: (onStep, signal) => config.measure(onStep, () => this.#isQuiet(), signal),
      catalogue: () => readCatalogue(),
      free: () => freeMemory(),
      held: async () => {
        const stored = (await config.store.list()).models.map(({ name }) => name);
        const loaded = [...this.pool.states()].filter(([, state]) => state === 'ready').map(([id]) => id);
        const chosen = this.#chosen ?? config.own?.source.id;
        return { stored: new Set(stored), loaded: new Set(loaded), chosen };
      },
    });
    this.pool = new ModelPool({
      policy: config.policy,
      clock: systemClock,
      find: (id) => this.#find(id),
      demand: () => this.#demand(),
      freeBytes: () => process.availableMemory(),
      onServable: host.setServable,
      onRefused: host.refuse,
    });
    this.pool.events.on('engine', host.onEngine);
    this.pool.events.on('change', () => this.events.emit('change'));
    this.pool.events.on('loaded', (model, loadMs) => {
      host.record('info', 'models', { msg: 'model_loaded', model, load_ms: Math.round(loadMs) });
      host.tellReady();
    });
    this.pool.events.on('unloaded', (model, why) => {
      host.record('info', 'models', { msg: 'model_unloaded', model, why });
    });
    const { own } = config;
    if (own !== undefined)
      this.pool.adopt(
        toPoolModel(own.source, () => config.makeEngine(own.source)),
        own.engine,
        true,
      );
  }

  async keyFor(model: string | undefined): Promise<string | undefined> {
    const own = this.#config.own?.source.id;
    const named = model !== undefined && this.#isOwnName(model) ? own : model;
    const wanted = named ?? this.#chosen;
    if (model !== undefined && this.#host.isFixed(model)) return undefined;
    // The model that the daemon was started with is never unloaded before somebody switches.
    if (wanted === undefined || (wanted === own && this.#chosen === undefined)) return undefined;
    try {
      return await this.pool.know(wanted);
    } catch (error) {
      throw await this.#explain(wanted, error);
    }
  }

  /** A model that is not there and could be is offered to somebody who can say yes. Gives the error to tell. */
  async #explain(wanted: string, error: unknown): Promise<unknown> {
    if (!(error instanceof HearthError) || error.code !== 'model_not_found') return error;
    const entry = await this.#inCatalogue(wanted);
    if (entry === undefined) return error;
    this.#offers.offer(entry);
    return new HearthError(
      'model_not_found',
      `that model is not on this machine yet: fetch it with \`hearth pull ${entry.name}\`, or say yes where your editor asks`,
    );
  }

  async #inCatalogue(name: string): Promise<CatalogueEntry | undefined> {
    const catalogue = await readCatalogue().catch(() => []);
    return catalogue.find((entry) => entry.name === name);
  }

  onLoading(model: string, tell: (model: string, progress: number | undefined) => void): () => void {
    const hear = (id: string, _phase: string, progress: number | undefined): void => {
      if (id === model) tell(model, progress);
    };
    if (this.pool.states().get(model) !== 'ready') tell(model, undefined);
    this.pool.events.on('loading', hear);
    return () => this.pool.events.off('loading', hear);
  }

  async list(): Promise<ModelsRequest.Result> {
    const [{ models }, catalogue, free, own] = await Promise.all([
      this.#config.store.list(),
      readCatalogue(),
      freeMemory(),
      this.#ownHeader(),
    ]);
    const names = new Set(models.map(({ name }) => name));
    const choices = recommend(catalogue, { bytesPerSecond: 1, freeBytes: free.bytes }, usualContextTokens);
    return {
      models: [...this.#ownEntry(names, own), ...models.map((manifest) => this.#toEntry(manifest))],
      catalogue: choices.map((choice) => toCatalogueModel(choice, names)),
      freeBytes: free.bytes,
    };
  }

  async best(
    kind: CatalogueModel['kind'],
    onProgress: (progress: BestModelRequest.Progress) => void,
    signal: AbortSignal,
  ): Promise<BestModelRequest.Result> {
    return this.#best.find(kind, onProgress, signal);
  }

  async pull(
    params: PullParams,
    onProgress: (progress: PullModelRequest.Progress) => void,
    signal: AbortSignal,
  ): Promise<PullModelRequest.Result> {
    const key = `${params.source}\n${params.name ?? ''}`;
    return this.#pulls.join(key, this.#fetch(params), onProgress, signal);
  }

  #fetch(params: PullParams): Fetch {
    return (onProgress, signal) => this.#fetchNow(params, onProgress, signal);
  }

  async #fetchNow(
    params: PullParams,
    onProgress: (progress: PullModelRequest.Progress) => void,
    signal: AbortSignal,
  ): Promise<PullModelRequest.Result> {
    const { pullNamed } = await import('../models/pull/pull-named.js');
    const { store, pullPolicy, huggingFace, tokenEnv } = this.#config;
    try {
      const { manifest, resumedBytes, alreadyThere } = await pullNamed(params.source, {
        store,
        name: params.name,
        policy: pullPolicy,
        huggingFace,
        token: process.env[tokenEnv],
        signal,
        onProgress: (step) => {
          const isDownload = step.phase === 'download';
          const doneBytes = isDownload ? step.downloadedBytes : step.hashedBytes;
          onProgress({ phase: step.phase, doneBytes, totalBytes: step.totalBytes });
          if (!isDownload) return;
          this.#host.tell({
            phase: 'download',
            downloaded_bytes: step.downloadedBytes,
            total_bytes: step.totalBytes,
            source_url: step.sourceUrl,
          });
        },
      });
      const { name, sizeBytes } = manifest;
      if (!alreadyThere) {
        const event = {
          msg: 'model_pulled',
          model: name,
          bytes: sizeBytes,
          resumed_bytes: resumedBytes,
        } as const;
        this.#host.record('info', 'models', event);
      }
      this.events.emit('change');
      return { name, sizeBytes, resumedBytes, alreadyThere };
    } catch (error) {
      const code = error instanceof HearthError ? error.code : signal.aborted ? 'cancelled' : 'internal';
      this.#host.record(signal.aborted ? 'info' : 'warn', 'models', { msg: 'model_pull_failed', code });
      throw error;
    } finally {
      this.#host.tellReady();
    }
  }

  /** `engines` with the one that answers where no model is named first: what shows one model shows that. */
  chosenFirst(engines: readonly Engine[]): readonly Engine[] {
    const { own } = this.#config;
    const chosen = this.#chosen ?? own?.source.id;
    const isChosen = (engine: Engine): boolean =>
      engine.name === chosen || (engine === own?.engine && chosen === own.source.id);
    return engines.toSorted((one, other) => Number(isChosen(other)) - Number(isChosen(one)));
  }

  /** Ends what is being fetched, keeping what has come, and lets go of all models. */
  async stop(): Promise<void> {
    this.#returning.abort();
    await Promise.all([this.#pulls.stop(), this.#best.stop(), this.pool.stop()]);
  }

  /**
   * Switches to what was switched to last, also by an earlier daemon, unless somebody switches meanwhile. Where that model
   * has gone or cannot be loaded, the daemon's own one goes on serving.
   */
  async returnToChoice(): Promise<void> {
    const name = await this.#config.choice?.read();
    if (name === undefined) return;
    // Why it cannot be loaded is in the activity log.
    await this.#switch(name, () => undefined, this.#returning.signal).catch(() => undefined);
  }

  async switchTo(
    name: string,
    onProgress: (phase: string, progress: number | undefined) => void,
    signal: AbortSignal,
  ): Promise<void> {
    this.#returning.abort();
    await this.#switch(name, onProgress, signal);
    const chosen = this.#chosen === this.#config.own?.source.id ? undefined : this.#chosen;
    await this.#config.choice?.keep(chosen);
  }

  async #switch(
    name: string,
    onProgress: (phase: string, progress: number | undefined) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const id = await this.pool.know(this.#isOwnName(name) ? (this.#config.own?.source.id ?? name) : name);
    await this.#loaded(id, onProgress, signal);
    const before = this.#chosen ?? this.#config.own?.source.id;
    if (before === id) return;
    this.pool.pin(id, true);
    this.#chosen = id;
    if (before !== undefined) this.pool.pin(before, false);
    this.#host.record('info', 'models', { msg: 'model_switched', model: id });
    this.events.emit('change');
  }

  async remove(name: string): Promise<number> {
    const { store } = this.#config;
    await store.read(name).catch((error: unknown) => {
      if (error instanceof HearthError && error.code === 'model_not_found') throw error;
    });
    if (!(await this.pool.unload(name))) throw inUse();
    const claim = await store.claim(name);
    const lock = await store.lock(name).catch((error: unknown) => {
      claim.release();
      throw error;
    });
    try {
      const freed = await store.remove(name);
      this.pool.drop(name);
      this.#host.record('info', 'models', { msg: 'model_removed', model: name, freed_bytes: freed });
      this.events.emit('change');
      return freed;
    } finally {
      lock.release();
      claim.release();
    }
  }

  /** Resolves when the model can serve. @throws HearthError why it cannot; an AbortError after `signal`. */
  async #loaded(
    id: string,
    onProgress: (phase: string, progress: number | undefined) => void,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    const end = new AbortController();
    const wanting = this.pool.want(id);
    const hear = (which: string, phase: string, progress: number | undefined): void => {
      if (which === id) onProgress(phase, progress);
    };
    this.pool.events.on('loading', hear);
    try {
      const aborted = new Promise<never>((_, reject) => {
        const abort = (): void => reject(new DOMException('aborted', 'AbortError'));
        signal.addEventListener('abort', abort, { once: true, signal: end.signal });
      });
      await Promise.race([wanting.ready, aborted]);
    } finally {
      end.abort();
      wanting.leave();
      this.pool.events.off('loading', hear);
    }
  }

  /** What waits and runs, with what runs on the daemon's own model without having named it. */
  #demand(): ReadonlyMap<string, Demand> {
    const { own } = this.#config;
    const demand = this.#host.demand();
    if (own === undefined) return demand;
    const running = this.#host.runningOn(own.engine.name);
    if (running === 0) return demand;
    const known = demand.get(own.source.id) ?? { waiting: 0, oldestAt: Infinity, running: 0 };
    return new Map(demand).set(own.source.id, { ...known, running: known.running + running });
  }

  /** Whether nothing is being generated, so that what is measured now is the machine's own speed. */
  #isQuiet(): boolean {
    return [...this.#demand().values()].every(({ running }) => running === 0);
  }

  #isOwnName(model: string): boolean {
    const { own } = this.#config;
    return own !== undefined && (model === own.source.id || model === own.engine.name);
  }

  async #find(id: string): Promise<PoolModel | undefined> {
    const { own, store, makeEngine } = this.#config;
    if (own?.source.id === id) return toPoolModel(own.source, () => makeEngine(own.source));
    if (!isModelName(id)) return undefined;
    const manifest = await store.find(id);
    if (manifest === undefined) return undefined;
    const source = store.toSource(manifest);
    return toPoolModel(source, () => makeEngine(source));
  }

  #toEntry(manifest: Manifest): ModelEntry {
    const { name, displayName, sizeBytes, purpose, chatTemplate, infill } = manifest;
    const { architecture, quantization, parameters, contextLength } = manifest;
    return {
      name,
      displayName,
      sizeBytes,
      purpose,
      chatTemplate,
      infill,
      state: this.pool.states().get(name) ?? 'absent',
      chosen: this.#chosen === name || (this.#chosen === undefined && this.#config.own?.source.id === name),
      stored: true,
      ...(architecture === undefined ? {} : { architecture }),
      ...(quantization === undefined ? {} : { quantization }),
      ...(parameters === undefined ? {} : { parameters }),
      ...(contextLength === undefined ? {} : { contextLength }),
    };
  }

  /** What the file of the daemon's own model says of it; read once. */
  async #ownHeader(): Promise<Partial<OwnHeader>> {
    const { own } = this.#config;
    if (own === undefined) return {};
    this.#header ??= checkGguf(own.source.path).then(
      ({ architecture, quantization, parameters, contextLength, purpose, chatTemplate }) => ({
        parameters,
        purpose,
        chatTemplate,
        ...(architecture === undefined ? {} : { architecture }),
        ...(quantization === undefined ? {} : { quantization }),
        ...(contextLength === undefined ? {} : { contextLength }),
      }),
      // It is loaded, or why it is not has been said: the list goes without.
      () => ({}),
    );
    return this.#header;
  }

  /** The daemon's own model, where it is none of the store. */
  #ownEntry(stored: ReadonlySet<string>, header: Partial<OwnHeader>): readonly ModelEntry[] {
    const { own } = this.#config;
    if (own === undefined || stored.has(own.source.id)) return [];
    const { id, displayName, sizeBytes } = own.source;
    return [
      {
        name: id,
        displayName,
        sizeBytes,
        state: this.pool.states().get(id) ?? 'absent',
        chosen: this.#chosen === undefined || this.#chosen === id,
        stored: false,
        purpose: 'generate',
        chatTemplate: true,
        infill: own.engine.model?.infill ?? false,
        ...header,
      },
    ];
  }
}

type OwnHeader = Pick<
  ModelEntry,
  'architecture' | 'quantization' | 'parameters' | 'contextLength' | 'purpose' | 'chatTemplate'
>;

function toPoolModel(source: ModelSource, makeEngine: () => Engine): PoolModel {
  return { id: source.id, bytes: source.sizeBytes * beside.share + beside.bytes, makeEngine };
}

function inUse(): HearthError {
  return new HearthError(
    'backend_unavailable',
    'The model is in use. Switch to another one, or wait until what runs has ended, then try again.',
  );
}

const systemClock = {
  now: () => performance.now(),
  schedule: (delayMs: number, callback: () => void): (() => void) => {
    const timer = setTimeout(callback, delayMs).unref();
    return () => {
      clearTimeout(timer);
    };
  },
};
