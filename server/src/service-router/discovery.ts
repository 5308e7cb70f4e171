import { setTimeout as delay } from 'node:timers/promises';
import type { RegistryClient, ServiceList } from '../registry/registry-client.js';

/** How long a registry may hold a question back until it has news. */
const waitSecs = 20;
const firstRetryMs = 100;

/**
 * Follows a registry's list of healthy services: by its news where it gives them, as ours does, and else by asking at
 * an interval. While it cannot be reached, what it said last holds.
 */
export async function followRegistry(
  client: RegistryClient,
  intervalMs: number,
  onList: (list: ServiceList) => void,
  signal: AbortSignal,
): Promise<void> {
  const isOver = (): boolean => signal.aborted;
  let after: number | undefined;
  let retryMs = firstRetryMs;
  while (!isOver()) {
    try {
      const list = await client.healthy({ after, waitSecs, signal });
      if (isOver()) return;
      retryMs = firstRetryMs;
      after = list.revision;
      onList(list);
      if (after !== undefined) continue;
      await delay(intervalMs, undefined, { signal });
    } catch {
      // A registry that was started anew counts from the beginning.
      after = undefined;
      await delay(retryMs, undefined, { signal }).catch(() => undefined);
      retryMs = Math.min(retryMs * 2, intervalMs);
    }
  }
}
