import type { HearthConnection } from './hearth-connection.js';
import type { Sidecar } from './sidecar.js';
import type { SidecarState } from './state.js';

/**
 * The connection, once a model is ready: waits while one is being loaded for the first time, and no longer than `signal`
 * allows.
 *
 * @returns undefined where `signal` was aborted first
 * @throws HearthFailure that says what to do, where no model will be ready.
 */
export async function readyConnection(
  sidecar: Sidecar,
  signal: AbortSignal,
): Promise<HearthConnection | undefined> {
  await new Promise<void>((resolve) => {
    const look = (state: SidecarState): void => {
      if (state.kind !== 'starting' && state.kind !== 'loading') done();
    };
    function done(): void {
      sidecar.events.off('state', look);
      signal.removeEventListener('abort', done);
      resolve();
    }
    sidecar.events.on('state', look);
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
    else look(sidecar.state());
  });
  return signal.aborted ? undefined : sidecar.connection();
}
