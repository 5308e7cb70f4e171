import { type AcceleratorKind, type FetchedKind, type GpuKind, kindNames } from './kinds.js';

/** What can be known without loading anything. */
export interface ChoiceInput {
  readonly wanted: 'auto' | AcceleratorKind;
  /** Platform and architecture, as in `linux-x64`. */
  readonly machine: string;
  /** Builds that were fetched. */
  readonly installed: readonly FetchedKind[];
  /** Builds that could be fetched for this machine. */
  readonly available: readonly FetchedKind[];
}

/** What to try, in order; the processor comes after all of it. */
export interface Choice {
  readonly tries: readonly GpuKind[];
  /** Why the processor is used where nothing is tried although something was asked for. */
  readonly reason?: string;
}

/** Best first: CUDA knows its cards better than Vulkan does. */
const order: readonly FetchedKind[] = ['cuda', 'vulkan'];

/** Which builds are worth a self-test, by what was asked for and what there is. */
export function chooseTries({ wanted, machine, installed, available }: ChoiceInput): Choice {
  const hasMetal = machine === 'darwin-arm64';
  switch (wanted) {
    case 'cpu':
      return { tries: [] };
    case 'metal':
      if (hasMetal) return { tries: ['metal'] };
      return { tries: [], reason: 'Metal is only there on Macs with Apple silicon.' };
    case 'auto':
      return { tries: hasMetal ? ['metal'] : order.filter((kind) => installed.includes(kind)) };
    case 'vulkan':
    case 'cuda':
      if (installed.includes(wanted)) return { tries: [wanted] };
      if (!available.includes(wanted)) {
        return { tries: [], reason: `There is no ${kindNames[wanted]} build for ${machine}.` };
      }
      return {
        tries: [],
        reason: `The ${kindNames[wanted]} build is not there: \`hearth accelerator add ${wanted}\` fetches it.`,
      };
  }
}
