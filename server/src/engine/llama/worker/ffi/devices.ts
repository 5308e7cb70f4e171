import type { GpuKind } from '../../../../accelerators/kinds.js';
import type { GpuInfo } from '../messages.js';
import type { Native } from './native.js';

/** Values of `enum ggml_backend_dev_type`: a card with memory of its own, and one that shares the machine's. */
const [separateCard, sharedCard] = [1, 2] as const;
/** Most devices that are looked at. */
const mostDevices = 64;

/**
 * The graphics cards that llama.cpp found, as it uses them: all with memory of their own, or else the first without.
 *
 * @returns undefined where there is none
 */
export function findGpu(native: Native, kind: GpuKind): GpuInfo | undefined {
  const all = Array.from({ length: Math.min(mostDevices, native.countDevices()) }, (_, index) =>
    native.device(index),
  ).filter((device) => device !== undefined);
  const separate = all.filter((device) => native.deviceType(device) === separateCard);
  const shared = all.filter((device) => native.deviceType(device) === sharedCard).slice(0, 1);
  const cards = separate.length > 0 ? separate : shared;
  const [first] = cards;
  if (first === undefined) return undefined;
  const memory = cards.map((card) => {
    const [free, total] = [new BigUint64Array(1), new BigUint64Array(1)];
    native.deviceMemory(card, free, total);
    return { free: Number(free[0] ?? 0n), total: Number(total[0] ?? 0n) };
  });
  const name = (native.deviceDescription(first) ?? kind).slice(0, 128);
  return {
    kind,
    device: cards.length === 1 ? name : `${name} and ${String(cards.length - 1)} more`,
    totalBytes: memory.reduce((sum, { total }) => sum + total, 0),
    freeBytes: memory.reduce((sum, { free }) => sum + free, 0),
  };
}

/** Which build for processors llama.cpp says that it has loaded, such as `zen4`; undefined where it says none. */
export function cpuVariantIn(log: readonly string[]): string | undefined {
  for (const line of log) {
    const found = /ggml-cpu-([\w.]{1,32})\.(?:so|dylib|dll)\s*$/u.exec(line)?.[1];
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The library whose absence the system's loader names, out of a text that may hold paths. */
export function missingLibrary(text: string): string | undefined {
  return /(?:^|[\s:])([\w.+-]{1,64}\.so[\w.]{0,16}): cannot open shared object/u.exec(text)?.[1];
}
