import type { AcceleratorStore, Installed } from '../../accelerators/accelerator-store.js';
import { chooseTries } from '../../accelerators/choose.js';
import { type AcceleratorKind, fetchedKinds, type GpuKind, kindNames } from '../../accelerators/kinds.js';
import { buildFor } from '../../accelerators/packages.js';
import type { SelfTestResult } from './gpu-self-test.js';

/** What is to compute. */
export type ChosenDevice =
  /** `reason`: why it is not a graphics card, where one was asked for or is there; holds no path. */
  | { readonly kind: 'cpu'; readonly reason?: string }
  | {
      readonly kind: GpuKind;
      /** Where the build lies; absent: in the package of this platform. */
      readonly folder?: string;
      readonly name: string;
      readonly totalBytes: number;
      readonly freeBytes: number;
    };

/** A build that may be tried. */
export interface TriedBuild {
  readonly kind: GpuKind;
  readonly folder?: string;
}

export interface DeviceChoiceParts {
  readonly wanted: 'auto' | AcceleratorKind;
  readonly store: Pick<AcceleratorStore, 'find'>;
  /** As in `linux-x64`. */
  readonly machine: string;
  readonly test: (build: TriedBuild, signal: AbortSignal) => Promise<SelfTestResult>;
}

/**
 * Chooses what computes, before each load: the best card whose self-test passes, and else the processor with the
 * reason. A build that has failed is not tried again before it is fetched anew or the daemon starts again; one that works
 * is, because how much memory it has free changes.
 */
export class DeviceChoice {
  readonly #parts: DeviceChoiceParts;
  /** Why a build does not work, by its kind and when it was added. */
  readonly #failures = new Map<string, string>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: DeviceChoiceParts) {
    this.#parts = parts;
  }

  /** One after the other: two tests at once would count each other's memory. @throws an AbortError after `signal` */
  choose(signal: AbortSignal): Promise<ChosenDevice> {
    const choice = this.#turn.then(() => this.#choose(signal));
    this.#turn = choice.catch(() => undefined);
    return choice;
  }

  async #choose(signal: AbortSignal): Promise<ChosenDevice> {
    const { wanted, store, machine, test } = this.#parts;
    if (wanted === 'cpu') return { kind: 'cpu' };
    const reasons: string[] = [];
    const installed: Installed[] = [];
    for (const kind of fetchedKinds) {
      try {
        const found = await store.find(kind);
        if (found !== undefined) installed.push(found);
      } catch (error) {
        if (wanted === 'auto' || wanted === kind) reasons.push(error instanceof Error ? error.message : kind);
      }
    }
    const { tries, reason } = chooseTries({
      wanted,
      machine,
      installed: installed.map(({ kind }) => kind),
      available: fetchedKinds.filter((kind) => buildFor(kind, machine) !== undefined),
    });
    if (reason !== undefined && reasons.length === 0) reasons.push(reason);
    for (const kind of tries) {
      const build = installed.find((one) => one.kind === kind);
      const key = `${kind} ${build?.addedAt ?? ''}`;
      const before = this.#failures.get(key);
      const result =
        before === undefined
          ? await test({ kind, ...(build === undefined ? {} : { folder: build.folder }) }, signal)
          : { works: false as const, reason: before };
      if (result.works) {
        const { device, totalBytes, freeBytes } = result.gpu;
        return {
          kind,
          ...(build === undefined ? {} : { folder: build.folder }),
          name: device,
          totalBytes,
          freeBytes,
        };
      }
      this.#failures.set(key, result.reason);
      reasons.push(`${kindNames[kind]}: ${result.reason}`);
    }
    return { kind: 'cpu', ...(reasons.length === 0 ? {} : { reason: reasons.join(' ') }) };
  }
}
