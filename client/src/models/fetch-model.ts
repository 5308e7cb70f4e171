import type { PullModelRequest } from '@hearth/protocol';
import { ProgressLocation, window } from 'vscode';
import type { Sidecar } from '../sidecar/sidecar.js';
import { signalOf } from '../vscode-signal.js';
import { showBytes } from './model-items.js';

/**
 * Fetches a model, or joins who fetches it already, with progress and a way to stop and to go on.
 *
 * @returns undefined where the person stopped it, and left it at that
 * @throws HearthFailure
 */
export async function fetchModel(
  sidecar: Sidecar,
  source: string,
): Promise<PullModelRequest.Result | undefined> {
  const pulled = await window.withProgress(
    { location: ProgressLocation.Notification, title: `Fetching ${source}`, cancellable: true },
    async (progress, token) => {
      let shown = 0;
      return sidecar.connection().pullModel(
        source,
        ({ phase, doneBytes, totalBytes }) => {
          const share = totalBytes === null || totalBytes === 0 ? undefined : (doneBytes / totalBytes) * 100;
          const increment = phase === 'verify' || share === undefined ? 0 : Math.max(0, share - shown);
          shown += increment;
          const of = totalBytes === null ? '' : ` of ${showBytes(totalBytes)}`;
          const message = phase === 'verify' ? 'checking what has come' : `${showBytes(doneBytes)}${of}`;
          progress.report({ message, increment });
        },
        signalOf(token),
      );
    },
  );
  if (pulled !== undefined) return pulled;
  const choice = await window.showInformationMessage(
    `Stopped fetching ${source}. What has come is kept.`,
    'Go On',
  );
  return choice === 'Go On' ? fetchModel(sidecar, source) : undefined;
}

/** Loads a model and has it serve whatever names none, in every window, with progress. @throws HearthFailure */
export async function switchTo(sidecar: Sidecar, name: string): Promise<void> {
  const switched = await window.withProgress(
    { location: ProgressLocation.Notification, title: `Loading ${name}`, cancellable: true },
    (progress, token) =>
      sidecar.connection().switchModel(
        name,
        (step) => {
          if (step.progress !== undefined) {
            progress.report({ message: `${String(Math.round(step.progress * 100))} %` });
          }
        },
        signalOf(token),
      ),
  );
  if (switched) void window.showInformationMessage(`Hearth now uses ${name}.`);
}
