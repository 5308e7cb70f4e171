import {
  Disposable,
  EventEmitter,
  LanguageModelChatToolMode,
  lm,
  type LanguageModelChatInformation,
  type LanguageModelChatProvider,
  type LogOutputChannel,
  type PrepareLanguageModelChatModelOptions,
} from 'vscode';
import type { Sidecar } from '../sidecar/sidecar.js';
import { signalOf } from '../vscode-signal.js';
import { answerChat } from './answer-chat.js';
import { plainMessage } from './message-parts.js';
import {
  groupSettings,
  noModel,
  offeredModels,
  type GroupSettings,
  type OfferedModel,
} from './offered-models.js';
import { countedText } from './plain-messages.js';
import { modelCounters, type TokenCounter } from './token-counter.js';

/** As `languageModelChatProviders` in the manifest has it. */
export const vendor = 'hearth';

/** What VS Code keeps of a model, and gives back with each request for it. */
interface Information extends LanguageModelChatInformation {
  readonly offered: OfferedModel;
}

/** Offers the models to VS Code's own chat and inline chat, and to every extension that uses `vscode.lm`. */
export function provideLanguageModel(sidecar: Sidecar, log: LogOutputChannel): Disposable {
  const changed = new EventEmitter<void>();
  const counters = modelCounters((texts, model) => sidecar.connection().countTokens(texts, model));
  /**
   * What was offered last. It stays while the sidecar restarts or has failed: a model that is gone loses its place in the
   * picker, and one that is asked can say what is wrong.
   */
  let health = sidecar.health();
  let told = '[]';

  const offeredNow = (settings?: GroupSettings): readonly OfferedModel[] => {
    if (health !== undefined) return offeredModels(health, settings);
    const { kind } = sidecar.state();
    return settings === undefined && (kind === 'failed' || kind === 'stopped') ? [noModel] : [];
  };
  /** Estimates where nobody can count: the prompt is to be made all the same, so that the answer can say why. */
  const counterOf = ({ model, abilities }: OfferedModel): TokenCounter => {
    const tokenize = abilities.tokenize && sidecar.state().kind === 'ready';
    return counters.of({ model, abilities: { tokenize } });
  };

  const provider: LanguageModelChatProvider<Information> = {
    onDidChangeLanguageModelChatInformation: changed.event,

    provideLanguageModelChatInformation: (options) => {
      const group = configurationOf(options);
      const settings = groupSettings(group);
      // A group without settings would show every model a second time.
      if (group !== undefined && settings === undefined) return [];
      return offeredNow(settings).map(information);
    },

    provideLanguageModelChatResponse: (model, messages, options, progress, token) =>
      answerChat(
        { sidecar, counters, log },
        {
          model: model.offered,
          messages: messages.map(plainMessage),
          tools: options.tools ?? [],
          toolRequired: options.toolMode === LanguageModelChatToolMode.Required,
          options: options.modelOptions ?? {},
        },
        (part) => progress.report(part),
        signalOf(token),
      ),

    provideTokenCount: ({ offered }, text) =>
      counterOf(offered).count(typeof text === 'string' ? text : countedText(plainMessage(text))),
  };

  const look = (): void => {
    if (sidecar.state().kind === 'ready') health = sidecar.health() ?? health;
    const now = JSON.stringify(offeredNow());
    if (now === told) return;
    told = now;
    counters.forget();
    changed.fire();
    if (now !== '[]') void announce(log);
  };
  sidecar.events.on('state', look);
  sidecar.events.on('health', look);
  const registration = lm.registerLanguageModelChatProvider(vendor, provider);
  return new Disposable(() => {
    sidecar.events.off('state', look);
    sidecar.events.off('health', look);
    registration.dispose();
    changed.dispose();
  });
}

/**
 * What the group has been configured with that VS Code asks for; undefined: it asks for no group. The stable types do
 * not have the field yet.
 */
function configurationOf(
  options: PrepareLanguageModelChatModelOptions & { readonly configuration?: unknown },
): unknown {
  return options.configuration;
}

/** The model picker lists our model only once somebody has resolved it, so we do that ourselves. */
async function announce(log: LogOutputChannel): Promise<void> {
  try {
    await lm.selectChatModels({});
  } catch {
    log.debug('VS Code does not list chat models here.');
  }
}

function information(offered: OfferedModel): Information {
  const { id, name, model, tooltip, maxInputTokens, maxOutputTokens, abilities } = offered;
  return {
    id,
    name,
    family: model,
    version: '1',
    detail: 'Hearth',
    tooltip,
    maxInputTokens,
    maxOutputTokens,
    capabilities: { toolCalling: abilities.tools, imageInput: abilities.vision },
    offered,
  };
}
