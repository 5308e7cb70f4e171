import {
  commands,
  ConfigurationTarget,
  Disposable,
  env,
  Uri,
  window,
  workspace,
  type LogOutputChannel,
  type QuickPickItem,
} from 'vscode';
import { HearthFailure } from '../sidecar/hearth-connection.js';
import type { Sidecar } from '../sidecar/sidecar.js';
import { tellFailure } from '../status/tell-failure.js';
import type { Row } from '../views/row.js';
import { streamOfRow } from '../views/stream-rows.js';
import { ask } from './ask.js';
import { continueFromCursor, stopContinuing } from './continue-from-cursor.js';

/**
 * Registers every command but those of the Activity view's filter, which live with the view.
 *
 * @param more Commands of other features, by name.
 */
export function registerCommands(
  sidecar: Sidecar,
  log: LogOutputChannel,
  more: Readonly<Record<string, (...args: never[]) => unknown>> = {},
): Disposable {
  const table: Readonly<Record<string, (...args: never[]) => unknown>> = {
    ...more,
    'hearth.ask': (question?: unknown) => ask(sidecar, typeof question === 'string' ? question : undefined),
    'hearth.continueFromCursor': () => continueFromCursor(sidecar),
    'hearth.stopContinuing': stopContinuing,
    'hearth.restartSidecar': () => sidecar.restart(),
    'hearth.chooseModel': chooseModel,
    'hearth.showLog': () => log.show(true),
    'hearth.showActivityLog': () => commands.executeCommand('hearth.activity.focus'),
    'hearth.openActivityLogFile': () => openActivityLogFile(sidecar),
    'hearth.copySocketPath': () => copySocketPath(sidecar),
    'hearth.copyHttpAccess': () => copyHttpAccess(sidecar),
    'hearth.cancelStream': (row: Row | undefined) => cancelStream(sidecar, row),
    'hearth.quickActions': quickActions,
  };
  return Disposable.from(
    ...Object.entries(table).map(([name, run]) => commands.registerCommand(name, guarded(run, log))),
  );
}

/** Shows what a person can act on, once; logs the rest. */
function guarded(
  run: (...args: never[]) => unknown,
  log: LogOutputChannel,
): (...args: never[]) => Promise<unknown> {
  return async (...args) => {
    try {
      return await run(...args);
    } catch (error) {
      if (!(error instanceof HearthFailure)) throw error;
      // Whoever called waits for the outcome, and not for somebody to read a message.
      void tellFailure(error, log);
      return undefined;
    }
  };
}

/** Opens the setting that names the model. It is of the machine, and in a remote window those are on a page of their own. */
async function chooseModel(): Promise<void> {
  const query = 'hearth.model';
  if (env.remoteName === undefined) await commands.executeCommand('workbench.action.openSettings', query);
  else await commands.executeCommand('workbench.action.openRemoteSettings', { query });
}

async function openActivityLogFile(sidecar: Sidecar): Promise<void> {
  const path = sidecar.health()?.logPath;
  if (path === undefined)
    throw new HearthFailure('Hearth is not running, so the place of its log is not known.');
  await window.showTextDocument(await workspace.openTextDocument(Uri.file(path)));
}

async function copySocketPath(sidecar: Sidecar): Promise<void> {
  const path = sidecar.health()?.socketPath;
  if (path === undefined) {
    throw new HearthFailure(
      'The socket is not there yet. It opens when the model is ready, as the status bar shows.',
    );
  }
  await env.clipboard.writeText(path);
  void window.showInformationMessage(`Copied: ${path}`);
}

/** Address and token of the gateway, as environment variables that OpenAI's clients read. Offers to switch it on. */
async function copyHttpAccess(sidecar: Sidecar): Promise<void> {
  const health = sidecar.health();
  const gateway = health?.gateway;
  if (gateway === undefined) {
    const choice = await window.showInformationMessage(
      'HTTP for OpenAI clients and others is off. It would listen on loopback only, and ask for a token.',
      'Switch On',
    );
    if (choice !== 'Switch On') return;
    await workspace.getConfiguration('hearth').update('http.enabled', true, ConfigurationTarget.Global);
    return;
  }
  const address = `OPENAI_BASE_URL=${gateway.url}/v1`;
  if (gateway.tokenFile === undefined) {
    await env.clipboard.writeText(address);
    void window.showInformationMessage('Copied the address. The token is what HEARTH_HTTP_TOKEN holds.');
    return;
  }
  const token = new TextDecoder().decode(await workspace.fs.readFile(Uri.file(gateway.tokenFile))).trim();
  await env.clipboard.writeText(`${address}\nOPENAI_API_KEY=${token}\n`);
  void window.showInformationMessage(`Copied the address ${gateway.url} and its token.`);
}

/** VS Code gives no row where the stream ended in the very moment of the click: there is nothing to cancel. */
async function cancelStream(sidecar: Sidecar, row: Row | undefined): Promise<void> {
  if (row !== undefined) await sidecar.connection().cancelStream(streamOfRow(row));
}

const actions: readonly (QuickPickItem & { readonly command: string })[] = [
  { command: 'hearth.ask', label: '$(comment) Ask…', description: 'stream an answer into a document' },
  {
    command: 'hearth.editInline',
    label: '$(sparkle) Edit Inline…',
    description: 'change the selection, and decide each change',
  },
  {
    command: 'hearth.askAboutSelection',
    label: '$(comment-discussion) Ask About Selection…',
    description: 'a question about this code',
  },
  { command: 'hearth.explain', label: '$(book) Explain', description: 'what the selected code does' },
  { command: 'hearth.continueFromCursor', label: '$(edit) Continue From Cursor' },
  { command: 'hearth.whyNoSuggestion', label: '$(question) Why No Suggestion?' },
  {
    command: 'hearth.useBestModel',
    label: '$(rocket) Use the Best Model for This Machine',
    description: 'measured, and at one click',
  },
  {
    command: 'hearth.addModel',
    label: '$(cloud-download) Add Model…',
    description: 'search, see what fits, fetch',
  },
  { command: 'hearth.switchModel', label: '$(arrow-swap) Switch Model…' },
  { command: 'hearth.showActivityLog', label: '$(pulse) Show Activity Log' },
  { command: 'hearth.showLog', label: '$(output) Show Log' },
  {
    command: 'hearth.copySocketPath',
    label: '$(plug) Copy Socket Path',
    description: 'for scripts and other tools',
  },
  {
    command: 'hearth.copyHttpAccess',
    label: '$(globe) Copy HTTP Address and Token',
    description: 'for OpenAI clients and others',
  },
  { command: 'hearth.restartSidecar', label: '$(refresh) Restart Sidecar' },
];

async function quickActions(): Promise<void> {
  const action = await window.showQuickPick(actions, { title: 'Hearth' });
  if (action !== undefined) await commands.executeCommand(action.command);
}
