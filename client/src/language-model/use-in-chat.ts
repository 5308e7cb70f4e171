import type { Disposable } from 'vscode';
import {
  commands,
  ConfigurationTarget,
  window,
  workspace,
  type ExtensionContext,
  type LogOutputChannel,
} from 'vscode';
import { HearthFailure } from '../sidecar/hearth-connection.js';
import type { Sidecar } from '../sidecar/sidecar.js';
import {
  asChatDefaults,
  followModel,
  settingsFor,
  undoModel,
  useModel,
  type ChatDefaults,
  type ReadSetting,
  type SettingChange,
} from './chat-defaults.js';
import { offeredModels } from './offered-models.js';
import { vendor } from './provider.js';

/** Where it is remembered what the settings were. */
const memory = 'hearth.chatDefaults';
/** Whether there is something to take back, for the palette. */
const usedContext = 'hearth.usedInChat';
/** A group of this name makes VS Code's chat work without an account; that it has settings of its own is not needed. */
const group = { vendor, name: 'Hearth' };

/** The commands that make Hearth the model of VS Code's own chat and inline chat, and take that back. */
export interface UseInChat extends Disposable {
  readonly commands: Readonly<Record<string, () => Promise<void>>>;
}

/** Once it was asked for, the settings follow the model that answers, until it is taken back. */
export function useInChat(sidecar: Sidecar, context: ExtensionContext, log: LogOutputChannel): UseInChat {
  const known = (): ChatDefaults | undefined => asChatDefaults(context.globalState.get(memory));
  const remember = async (defaults: ChatDefaults | undefined): Promise<void> => {
    await context.globalState.update(memory, defaults);
    await commands.executeCommand('setContext', usedContext, defaults !== undefined);
  };
  const wanted = (): Readonly<Record<string, string>> | undefined => {
    const health = sidecar.health();
    const [model] = health === undefined ? [] : offeredModels(health);
    return model === undefined ? undefined : settingsFor(model, vendor);
  };

  const follow = async (): Promise<void> => {
    const before = known();
    const settings = sidecar.state().kind === 'ready' ? wanted() : undefined;
    if (before === undefined || settings === undefined) return;
    const next = followModel(settings, readUserSetting, before);
    if (next.changes.length === 0) return;
    await context.globalState.update(memory, next.remember);
    await write(next.changes);
  };
  let following = Promise.resolve();
  const look = (): void => {
    following = following.then(follow).catch((error: unknown) => {
      log.warn(`The settings of VS Code's chat could not be changed: ${nameOf(error)}.`);
    });
  };
  sidecar.events.on('state', look);
  void commands.executeCommand('setContext', usedContext, known() !== undefined);

  return {
    dispose: () => sidecar.events.off('state', look),
    commands: {
      'hearth.useInChat': async () => {
        const settings = wanted();
        // Says what to do where there is no model at all.
        if (settings === undefined) sidecar.connection();
        if (settings === undefined)
          throw new HearthFailure(
            'No model is ready to be used in chat. Wait until the status bar says that one is, or get one with “Hearth: Add Model…”.',
          );
        const { changes, remember: next } = useModel(settings, readUserSetting, known());
        await remember(next);
        await write(changes);
        await addGroup(log);
        tell(`VS Code's chat and inline chat use ${settings['inlineChat.defaultModel'] ?? 'Hearth'} now.`);
      },
      'hearth.undoUseInChat': async () => {
        const before = known();
        if (before === undefined)
          throw new HearthFailure(
            'There is nothing to undo: VS Code’s chat was not set to Hearth from here.',
          );
        await write(undoModel(readUserSetting, before));
        await remember(undefined);
        await tellUndone();
      },
    },
  };

  function tell(message: string): void {
    void window.showInformationMessage(message);
  }
}

/** VS Code lets an extension add a group of models, and not take it out: the person can. */
async function tellUndone(): Promise<void> {
  const show = 'Show the List';
  const choice = await window.showInformationMessage(
    'The settings of VS Code’s chat are as they were. Hearth stays in the model picker, and an entry “Hearth” without settings in the list of chat models: delete it there where you do not want it.',
    show,
  );
  if (choice === show) await commands.executeCommand('workbench.action.openLanguageModelsJson');
}

const readUserSetting: ReadSetting = (setting) => {
  const value: unknown = workspace.getConfiguration().inspect(setting)?.globalValue;
  return typeof value === 'string' ? value : undefined;
};

/** @throws HearthFailure where VS Code does not take a setting */
async function write(changes: readonly SettingChange[]): Promise<void> {
  const configuration = workspace.getConfiguration();
  for (const [setting, value] of changes) {
    try {
      await configuration.update(setting, value, ConfigurationTarget.Global);
    } catch {
      throw new HearthFailure(
        `VS Code did not take the setting ${setting}. Set it by hand in the settings, or update VS Code.`,
      );
    }
  }
}

/** It may be there already, and a VS Code without such groups needs none. */
async function addGroup(log: LogOutputChannel): Promise<void> {
  try {
    await commands.executeCommand('lm.addLanguageModelsProviderGroup', group);
  } catch (error) {
    log.debug(`No group of models was added: ${nameOf(error)}.`);
  }
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : 'unknown';
}
