import type { Event } from 'vscode';
import type { Health, StreamInfo } from '@hearth/protocol';
import type { SidecarState } from './sidecar/state.js';
import type { ViewRows } from './views/views.js';

/** What `activate` gives to other extensions and to tests. */
export interface HearthExtensionApi {
  readonly state: () => SidecarState;
  readonly onDidChangeState: Event<SidecarState>;
  /** Resolves once a model is ready; rejects with the reason where that has failed for good. */
  readonly whenReady: () => Promise<void>;
  /** How long `activate` took of its own time, in milliseconds. */
  readonly activationMs: number;
  /** Undefined while no sidecar speaks. */
  readonly health: () => Health | undefined;
  readonly streams: () => readonly StreamInfo[];
  /** What the views show now. */
  readonly rows: () => ViewRows;
}
