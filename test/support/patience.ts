import { vi } from 'vitest';

/**
 * `vi.waitFor` gives up after a second where nothing else is said, which a busy machine can need for anything. What waits
 * for something that should happen has time: only a fault waits to the end. `expect.poll` has its time in vitest.config.mts.
 */
const patienceMs = 20_000;

const waitFor = vi.waitFor.bind(vi);
vi.waitFor = (callback, options) =>
  waitFor(callback, typeof options === 'number' ? options : { timeout: patienceMs, ...options });
