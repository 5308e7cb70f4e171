import {
  Disposable,
  EventEmitter,
  LanguageModelChatToolMode,
  lm,
  type LanguageModelChatInformation,
  type LanguageModelChatProvider,
  type LogOutputChannel,
} from 'vscode';
import type { ModelInfo } from '@hearth/protocol';
import { HearthFailure } from '../sidecar/hearth-connection.js';
import type { Sidecar } from '../sidecar/sidecar.js';
import type { SidecarState } from '../sidecar/state.js';
import { signalOf } from '../vscode-signal.js';
import { textOf, textPart, toMessages } from './message-parts.js';
import { modelBudget } from './model-information.js';
import { requestOptions } from './request-options.js';
import { tokenCounter } from './token-counter.js';

/** As `languageModelChatProviders` in the manifest has it. */
const vendor = 'hearth';

/** Offers the model to VS Code's own chat and inline chat, and to every extension that uses `vscode.lm`. */
export function provideLanguageModel(sidecar: Sidecar, log: LogOutputChannel): Disposable {
  const changed = new EventEmitter<void>();
  const counter = tokenCounter((texts) => sidecar.connection().countTokens(texts));
  let offered: string | undefined;

  const provider: LanguageModelChatProvider = {
    onDidChangeLanguageModelChatInformation: changed.event,

    provideLanguageModelChatInformation: () => {
      const state = sidecar.state();
      if (state.kind === 'failed') throw new HearthFailure(`Hearth could not start. ${state.reason}`);
      return state.kind === 'ready' ? [information(state.model)] : [];
    },

    provideLanguageModelChatResponse: async (model, messages, options, progress, token) => {
      if ((options.tools ?? []).length > 0 && options.toolMode === LanguageModelChatToolMode.Required) {
        throw new HearthFailure('This model cannot call tools.');
      }
      const { sampling, unknown } = requestOptions(options.modelOptions ?? {}, model.maxOutputTokens);
      if (unknown.length > 0)
        log.debug(`${unknown.length} options of a chat request are not known and were left out.`);
      const request = { model: model.id, messages: [...toMessages(messages)], ...sampling };
      await sidecar
        .connection()
        .generate({ request, client: 'chat' }, (text) => progress.report(textPart(text)), signalOf(token));
    },

    provideTokenCount: (_model, text) => counter.count(typeof text === 'string' ? text : textOf(text)),
  };

  const look = (state: SidecarState): void => {
    const now = state.kind === 'ready' ? `${state.model.id}/${state.model.contextSize}` : undefined;
    if (now === offered) return;
    offered = now;
    counter.forget();
    changed.fire();
    if (now !== undefined) void announce(log);
  };
  sidecar.events.on('state', look);
  const registration = lm.registerLanguageModelChatProvider(vendor, provider);
  return new Disposable(() => {
    sidecar.events.off('state', look);
    registration.dispose();
    changed.dispose();
  });
}

/** The model picker lists our model only once somebody has resolved it, so we do that ourselves. */
async function announce(log: LogOutputChannel): Promise<void> {
  try {
    await lm.selectChatModels({});
  } catch {
    log.debug('VS Code does not list chat models here.');
  }
}

function information(model: ModelInfo): LanguageModelChatInformation {
  return {
    id: model.id,
    name: model.displayName,
    family: model.id,
    version: '1',
    detail: 'Hearth',
    tooltip: model.caution ?? 'Runs on this machine.',
    ...modelBudget(model),
    capabilities: { toolCalling: false, imageInput: false },
  };
}
