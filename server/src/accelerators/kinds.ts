/** What computes: the processor, or a graphics card by one of the interfaces that llama.cpp knows. */
export const acceleratorKinds = ['cpu', 'vulkan', 'cuda', 'metal'] as const;
export type AcceleratorKind = (typeof acceleratorKinds)[number];
export type GpuKind = Exclude<AcceleratorKind, 'cpu'>;

/** Kinds whose builds are fetched on demand. Metal comes with the build for Macs. */
export const fetchedKinds = ['vulkan', 'cuda'] as const;
export type FetchedKind = (typeof fetchedKinds)[number];

export const kindNames = { cpu: 'CPU', vulkan: 'Vulkan', cuda: 'CUDA', metal: 'Metal' } as const;

export function isFetchedKind(text: string): text is FetchedKind {
  return fetchedKinds.some((kind) => kind === text);
}
