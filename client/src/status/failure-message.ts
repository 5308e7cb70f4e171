import { Disposable, window } from 'vscode';
import type { Sidecar } from '../sidecar/sidecar.js';
import type { SidecarState } from '../sidecar/state.js';
import { helpActions, runHelp } from './failure-help.js';
import { episodeAfter, type Episode } from './failure-episodes.js';

/** Tells the person of a failure, once in each run of failures, with what can be done about it. */
export function tellFailures(sidecar: Sidecar, showLog: () => void): Disposable {
  let episode: Episode = 'none';
  const look = (state: SidecarState): void => {
    const next = episodeAfter(episode, state);
    episode = next.episode;
    if (next.message !== undefined) void tell(next.message);
  };
  const tell = async (message: string): Promise<void> => {
    const actions = helpActions(['restart', 'choose_model']);
    const choice = await window.showErrorMessage(message, ...actions.map(({ title }) => title), 'Show Log');
    const action = actions.find(({ title }) => title === choice);
    if (action !== undefined) await runHelp(action);
    if (choice === 'Show Log') showLog();
  };
  sidecar.events.on('state', look);
  return new Disposable(() => sidecar.events.off('state', look));
}
