import { commands, Disposable, window, workspace, type TextDocument } from 'vscode';
import type { GhostTextOutcome } from '@hearth/protocol';
import type { Middleware } from 'vscode-languageclient/node';
import type { Sidecar } from '../sidecar/sidecar.js';
import { longDocuments } from './long-documents.js';
import { inlineCompletions } from './middleware.js';
import { createOutcomes, type GhostTextOutcomes } from './outcomes.js';
import { chooseSnooze, explain } from './pick.js';
import { switchWords, whyOff, type Switch } from './switch.js';

/** Ghost text in this window: between the editor and the sidecar, with its switch and its reasons. */
export interface GhostText {
  readonly outcomes: GhostTextOutcomes;
  /** Why it is off in this window, in words; undefined while it is on. */
  readonly off: () => string | undefined;
  /** Of one session: what one sidecar was asked, another knows nothing of. */
  readonly middleware: () => Middleware;
  /** What the sidecar tells of triggers. */
  readonly told: (outcomes: readonly GhostTextOutcome[]) => void;
  readonly disposable: Disposable;
}

export function createGhostText(sidecar: Sidecar): GhostText {
  const outcomes = createOutcomes(() => Date.now());
  let state: Switch = { kind: 'on' };
  let wake: NodeJS.Timeout | undefined;

  const set = (next: Switch): void => {
    state = next;
    clearTimeout(wake);
    if (next.kind === 'snoozed') wake = setTimeout(() => set({ kind: 'on' }), next.until - Date.now());
    void commands.executeCommand('setContext', 'hearth.ghostTextOff', next.kind !== 'on');
    outcomes.events.emit('changed');
  };
  const off = (): string | undefined => switchWords(state, Date.now());

  const table: Readonly<Record<string, () => unknown>> = {
    'hearth.pauseGhostText': async () => {
      set({ kind: 'paused' });
      await commands.executeCommand('editor.action.inlineSuggest.hide');
    },
    'hearth.resumeGhostText': () => set({ kind: 'on' }),
    'hearth.snoozeGhostText': async () => {
      const minutes = await chooseSnooze();
      if (minutes === undefined) return;
      set({ kind: 'snoozed', until: Date.now() + minutes * 60_000 });
      await commands.executeCommand('editor.action.inlineSuggest.hide');
    },
    'hearth.toggleGhostTextForLanguage': toggleForLanguage,
    'hearth.whyNoSuggestion': () => {
      const now = sidecar.state();
      return explain(outcomes.all(), off(), now.kind === 'ready' ? now.model.caution : undefined);
    },
  };
  return {
    outcomes,
    off,
    middleware: () => {
      const long = longDocuments();
      const why = (document: TextDocument): ReturnType<typeof whyOff> => {
        const reason = whyOff(state, isEnabled(document), Date.now());
        if (reason !== undefined) return reason;
        if (sidecar.state().kind !== 'ready')
          return sidecar.state().kind === 'loading' ? 'loading' : 'not_running';
        return long.has(document) ? 'document_too_large' : undefined;
      };
      return { ...long.middleware, ...inlineCompletions(why, outcomes.add) };
    },
    told: (all) => {
      for (const outcome of all) outcomes.add(outcome);
    },
    disposable: Disposable.from(
      ...Object.entries(table).map(([name, run]) => commands.registerCommand(name, run)),
      new Disposable(() => clearTimeout(wake)),
    ),
  };
}

function isEnabled(document: TextDocument): boolean {
  return workspace.getConfiguration('hearth', document).get<boolean>('inlineCompletions.enabled', true);
}

/** Switches ghost text on or off for the language of the active editor, in the settings of the user. */
async function toggleForLanguage(): Promise<void> {
  const document = window.activeTextEditor?.document;
  if (document === undefined) {
    void window.showInformationMessage('Open a document of the language that you mean.');
    return;
  }
  const { languageId } = document;
  const enabled = !isEnabled(document);
  const settings = workspace.getConfiguration('hearth', { languageId });
  await settings.update('inlineCompletions.enabled', enabled, true, true);
  void window.showInformationMessage(`Ghost text is now ${enabled ? 'on' : 'off'} for ${languageId}.`);
}
