import { InlineCompletionTriggerKind, workspace, type CancellationToken } from 'vscode';
import type { Middleware } from 'vscode-languageclient/node';
import type { Sidecar } from '../sidecar/sidecar.js';

/** How long typing must pause before ghost text is asked for, in milliseconds. */
const pauseMs = 75;

/**
 * Between the editor and the sidecar's ghost text: asks only where it is switched on and a model is ready, and
 * only once typing has paused. VS Code cancels `token` at the next keystroke, so that a stale question is never
 * even sent.
 */
export function ghostTextMiddleware(sidecar: Sidecar): Pick<Middleware, 'provideInlineCompletionItems'> {
  return {
    provideInlineCompletionItems: async (document, position, context, token, next) => {
      const settings = workspace.getConfiguration('hearth', document);
      if (!settings.get<boolean>('inlineCompletions.enabled', true) || sidecar.state().kind !== 'ready')
        return null;
      const selected = context.selectedCompletionInfo;
      if (selected !== undefined && !selected.range.end.isEqual(position)) return null;
      const automatic = context.triggerKind === InlineCompletionTriggerKind.Automatic;
      if (automatic && !(await paused(pauseMs, token))) return null;
      return next(document, position, context, token);
    },
  };
}

/** Resolves to true after `ms`, or to false as soon as `token` is cancelled. */
async function paused(ms: number, token: CancellationToken): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (whole: boolean): void => {
      clearTimeout(timer);
      listener.dispose();
      resolve(whole);
    };
    const timer = setTimeout(() => end(true), ms);
    const listener = token.onCancellationRequested(() => end(false));
  });
}
