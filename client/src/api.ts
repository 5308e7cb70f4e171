import type { Event } from 'vscode';
import type { Health, StreamInfo } from '@hearth/protocol';
import type { RememberedOutcome } from './ghost-text/outcomes.js';
import type { SidecarState } from './sidecar/state.js';
import type { ViewRows } from './views/views.js';

/** What `activate` gives to other extensions and to tests. */
export interface HearthExtensionApi {
  readonly state: () => SidecarState;
  readonly onDidChangeState: Event<SidecarState>;
  /** Resolves once a model is ready; rejects with the reason where that has failed for good. */
  readonly whenReady: () => Promise<void>;
  /**
   * What `activate` took, in milliseconds: by the clock, and of the processor. The second is its own time, since a
   * busy machine lets the first run on while something else has the processor.
   */
  readonly activation: { readonly elapsedMs: number; readonly processorMs: number };
  /** Undefined while no sidecar speaks. */
  readonly health: () => Health | undefined;
  readonly streams: () => readonly StreamInfo[];
  /** What the views show now. */
  readonly rows: () => ViewRows;
  /** What became of the triggers for ghost text in this window, newest last. */
  readonly ghostText: () => readonly RememberedOutcome[];
}
