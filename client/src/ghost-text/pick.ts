import { commands, QuickPickItemKind, window, type QuickPickItem } from 'vscode';
import { isModelsLimit, isTelling, type RememberedOutcome } from './outcomes.js';
import { reasonWords, sourceWords } from './reason-words.js';

/** How long to snooze, in minutes; undefined where nothing was chosen. */
export async function chooseSnooze(): Promise<number | undefined> {
  const choices: readonly (QuickPickItem & { readonly minutes: number })[] = [
    { label: '5 minutes', minutes: 5 },
    { label: '30 minutes', minutes: 30 },
    { label: '2 hours', minutes: 120 },
    { label: '8 hours', minutes: 480 },
  ];
  const choice = await window.showQuickPick(choices, { title: 'Snooze ghost text in this window for' });
  return choice?.minutes;
}

type Entry = QuickPickItem & { readonly command?: readonly [string, ...unknown[]] };

/** Most outcomes that the list shows. */
const mostShown = 8;

/**
 * Shows what became of the last triggers, and offers what can be done about it.
 *
 * @param off Why ghost text is off in this window; undefined: it is on.
 * @param caution What one should know of the model; undefined: nothing, or no model is ready.
 */
export async function explain(
  entries: readonly RememberedOutcome[],
  off: string | undefined,
  caution: string | undefined,
): Promise<void> {
  const items: Entry[] = [];
  if (off !== undefined) {
    items.push({
      label: `$(debug-pause) ${off}`,
      description: 'resume',
      command: ['hearth.resumeGhostText'],
    });
  }
  items.push(...entries.filter(isTelling).slice(-mostShown).reverse().map(outcomeItem));
  if (items.length === 0) items.push({ label: '$(info) Nothing was asked for in this window yet.' });
  items.push({ label: 'What you can do', kind: QuickPickItemKind.Separator });
  const latest = entries.findLast(isTelling);
  if (latest !== undefined && isModelsLimit(latest.outcome, caution)) {
    items.push({
      label: '$(rocket) Use the best model for this machine',
      ...(caution === undefined ? {} : { detail: caution }),
      command: ['hearth.useBestModel'],
    });
  }
  items.push(
    {
      label: '$(sparkle) Ask for a suggestion here',
      command: ['editor.action.inlineSuggest.trigger'],
    },
    {
      label: '$(symbol-boolean) Switch ghost text on or off for this language',
      command: ['hearth.toggleGhostTextForLanguage'],
    },
    { label: '$(flame) Choose another model', command: ['hearth.chooseModel'] },
    { label: '$(pulse) Show the activity log', command: ['hearth.activity.focus'] },
  );
  const choice = await window.showQuickPick(items, {
    title: 'Why no suggestion?',
    placeHolder: 'What became of the last triggers in this window, newest first',
    matchOnDetail: true,
  });
  if (choice?.command !== undefined) await commands.executeCommand(...choice.command);
}

function outcomeItem({ outcome, at, times }: RememberedOutcome): Entry {
  const time = new Date(at).toLocaleTimeString('en-GB');
  const description = times > 1 ? `${time}, ${times} times` : time;
  if (outcome.kind === 'shown') {
    const lines = outcome.lines === 1 ? 'one line' : `${outcome.lines} lines`;
    return {
      label: '$(pass) a suggestion was shown',
      description,
      detail: `${lines}, ${sourceWords(outcome.source)}, ${outcome.ms} ms`,
    };
  }
  const { short, long } = reasonWords(outcome);
  return { label: `$(circle-slash) ${short}`, description, detail: long };
}
