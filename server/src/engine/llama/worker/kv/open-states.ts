import type { StatesOrder } from '../messages.js';
import { DiskStates } from './disk-states.js';
import { MemoryStates } from './states.js';
import type { States } from './states.js';

/** The places that an order names, ready to be used. */
export interface OpenStates {
  readonly states: readonly States[];
  /** Whether what is put outlives this process. */
  readonly keepsStates: boolean;
  /** Resolves when everything that was put is where it is to be. */
  flush(): Promise<void>;
}

/** Opens what `order` asks for; a directory that cannot be had is left out. */
export async function openStates(order: StatesOrder | undefined, stateKey: string): Promise<OpenStates> {
  const memory = order === undefined || order.memoryBytes === 0 ? [] : [new MemoryStates(order.memoryBytes)];
  const disk =
    order?.disk === undefined
      ? undefined
      : await DiskStates.open({
          directory: order.disk.directory,
          mostBytes: order.disk.bytes,
          key: `${order.disk.key} ${stateKey}`,
        });
  return {
    states: disk === undefined ? memory : [...memory, disk],
    keepsStates: disk !== undefined,
    flush: async () => disk?.flush(),
  };
}
