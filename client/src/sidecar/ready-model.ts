import type { ModelInfo } from '@hearth/protocol';
import { HearthFailure } from './hearth-connection.js';
import type { Sidecar } from './sidecar.js';

/** The model that answers now. @throws HearthFailure where none is ready, with what to do about it */
export function readyModel(sidecar: Sidecar): ModelInfo {
  // Says what is wrong where there is no connection.
  sidecar.connection();
  const state = sidecar.state();
  if (state.kind !== 'ready')
    throw new HearthFailure('Hearth is not ready yet. The status bar shows how far it is.');
  return state.model;
}
