import type { BestModel, BestModelRequest, CatalogueModel } from '@hearth/protocol';
import type { CatalogueEntry } from '../models/catalogue/catalogue.js';
import { type Recommendation, recommend, usualContextTokens } from '../models/catalogue/recommend.js';
import type { MeasuredMachine, MeasuringStep } from '../models/machine/measure-machine.js';
import type { FreeMemory } from '../models/memory/free-memory.js';
import { SharedWork } from './shared-work.js';

/** What {@link BestModels} looks at and does. */
export interface BestModelsParts {
  /** What was measured on this machine before; undefined: nothing. */
  readonly remembered: () => Promise<MeasuredMachine | undefined>;
  readonly measure: (onStep: (step: MeasuringStep) => void, signal: AbortSignal) => Promise<MeasuredMachine>;
  readonly catalogue: () => Promise<readonly CatalogueEntry[]>;
  readonly free: () => Promise<FreeMemory>;
  readonly held: () => Promise<HeldModels>;
}

/** Models that this daemon has, by their names. */
export interface HeldModels {
  readonly stored: ReadonlySet<string>;
  /** In memory: no further memory is asked of them. */
  readonly loaded: ReadonlySet<string>;
  /** The one for requests that name none. */
  readonly chosen: string | undefined;
}

/** Finds the best model for this machine, which is measured once for all who ask meanwhile. */
export class BestModels {
  readonly #parts: BestModelsParts;
  readonly #measuring = new SharedWork<BestModelRequest.Progress, MeasuredMachine>();

  constructor(parts: BestModelsParts) {
    this.#parts = parts;
  }

  /** @throws HearthError where the engine cannot be measured; an AbortError after `signal` */
  async find(
    kind: CatalogueModel['kind'],
    onProgress: (progress: BestModelRequest.Progress) => void,
    signal: AbortSignal,
  ): Promise<BestModelRequest.Result> {
    const { remembered, measure, catalogue, free, held } = this.#parts;
    const machine =
      (await remembered()) ??
      (await this.#measuring.join(
        'machine',
        (tell, left) => measure((phase) => tell({ phase }), left),
        onProgress,
        signal,
      ));
    // Read afterwards: what the measuring took is free again.
    const [entries, memory, models] = await Promise.all([catalogue(), free(), held()]);
    return bestOf(kind, entries, machine, memory, models);
  }

  /** Ends a measurement; resolves when it has ended. */
  async stop(): Promise<void> {
    await this.#measuring.stop();
  }
}

/**
 * The best of a kind. Memory is what is free now, without what models that are loaded would give back: that is what a load
 * is judged by. What is loaded already fits.
 */
export function bestOf(
  kind: CatalogueModel['kind'],
  catalogue: readonly CatalogueEntry[],
  { bytesPerSecond, measuredAt }: MeasuredMachine,
  { bytes: freeBytes, limitedBy }: FreeMemory,
  { stored, loaded, chosen }: HeldModels,
): BestModelRequest.Result {
  const all = recommend(catalogue, { bytesPerSecond, freeBytes, loaded }, usualContextTokens);
  const ofKind = all.filter(({ entry }) => entry.kind === kind);
  const machine = { bytesPerSecond, measuredAt, freeBytes, limitedBy, contextTokens: usualContextTokens };
  const best = ofKind.find(({ isBest }) => isBest);
  if (best === undefined) {
    const [smallest] = ofKind.toSorted((one, other) => one.memoryBytes - other.memoryBytes);
    return {
      kind: 'nothing_fits',
      ...(smallest === undefined ? {} : { smallest: toCatalogueModel(smallest, stored) }),
      machine,
    };
  }
  const known = toCatalogueModel(best, stored);
  const model: BestModel = {
    ...known,
    fetchBytes: known.stored ? 0 : known.approximateBytes,
    tokensPerSecond: best.tokensPerSecond,
    isFastEnough: best.isFastEnough,
    chosen: chosen === known.name,
  };
  return { kind: 'found', model, machine };
}

/** A model of the catalogue as clients are told of it. */
export function toCatalogueModel(
  { entry, memoryBytes, fits }: Recommendation,
  stored: ReadonlySet<string>,
): CatalogueModel {
  const { name, displayName, kind, approximateBytes, parameters, quantization, license, note } = entry;
  return {
    name,
    displayName,
    kind,
    approximateBytes,
    parameters,
    quantization,
    license,
    note,
    memoryBytes: Math.round(memoryBytes),
    fits,
    stored: stored.has(name),
  };
}
