import type { GenerateRequestInput } from '@hearth/protocol';
import { LanguageModelError, type LanguageModelResponsePart, type LogOutputChannel } from 'vscode';
import { HearthFailure } from '../sidecar/hearth-connection.js';
import { readyConnection } from '../sidecar/ready-connection.js';
import type { Sidecar } from '../sidecar/sidecar.js';
import { isInlineChat, proseNote } from './inline-chat.js';
import { callPart, textPart, usagePart } from './message-parts.js';
import type { OfferedModel } from './offered-models.js';
import { countedText, wireConversation, type PlainMessage } from './plain-messages.js';
import { answerFailure, isRefused, toldFailure, type ToldFailure } from './request-failures.js';
import { requestOptions } from './request-options.js';
import type { ModelCounters } from './token-counter.js';
import { waiting } from './waiting.js';
import { wireTools, type OfferedTool } from './wire-tools.js';

/** What a chat asks of a model, free of VS Code's classes. */
export interface ChatOrder {
  readonly model: OfferedModel;
  readonly messages: readonly PlainMessage[];
  readonly tools: readonly OfferedTool[];
  /** Whether the answer has to be a call. */
  readonly toolRequired: boolean;
  /** Options that have no schema: whoever asks may give anything. */
  readonly options: Readonly<Record<string, unknown>>;
}

export interface ChatServices {
  readonly sidecar: Sidecar;
  readonly counters: ModelCounters;
  readonly log: LogOutputChannel;
}

/**
 * Answers a chat: text and calls as they come, and at the end what it took. Thinking stays here: the stable API has no
 * part for it, and as text it would be taken for the answer. Waits for a model that is being loaded. Returns early
 * where `signal` is aborted, which stops the engine.
 *
 * @throws Error with words for the person who asked.
 */
export async function answerChat(
  services: ChatServices,
  order: ChatOrder,
  report: (part: LanguageModelResponsePart) => void,
  signal: AbortSignal,
): Promise<void> {
  const { model, tools } = order;
  const inline = isInlineChat(tools);
  const wait = waiting();
  try {
    const request = generateRequest(order, services.log);
    const connection = await readyConnection(services.sidecar, signal);
    if (connection === undefined) return;
    const outcome = await connection.generate(
      { request, client: 'chat' },
      (text) => {
        wait.over();
        report(textPart(text));
      },
      signal,
      (news) => {
        wait.news(news);
        if (news.toolCall === undefined) return;
        wait.over();
        report(callPart(news.toolCall));
      },
    );
    if (outcome.kind === 'cancelled') return;
    report(usagePart(outcome.result.usage));
    const failure = answerFailure(outcome.result, { tools: request.tools !== undefined });
    if (failure !== undefined) throw failure;
    if (inline && (outcome.result.toolCalls ?? []).length === 0) report(textPart(proseNote));
  } catch (error) {
    if (!(error instanceof HearthFailure)) throw error;
    const tokens = isRefused(error) ? await countOrder(services.counters, order) : undefined;
    const failure = toldFailure(error, { contextSize: model.contextSize, tokens, tools: tools.length });
    if (!inline) throw asError(failure);
    report(textPart(failure.message));
  } finally {
    wait.over();
  }
}

/** Without a stack, which VS Code's chat would print behind the words. */
function asError({ kind, message }: ToldFailure): Error {
  const error =
    kind === 'not_found'
      ? LanguageModelError.NotFound(message)
      : kind === 'no_permissions'
        ? LanguageModelError.NoPermissions(message)
        : new HearthFailure(message);
  error.stack = '';
  return error;
}

/** VS Code names no temperature, and ours for talking makes small models invent what they should copy into a call. */
const toolTemperature = 0.2;

/** @throws HearthFailure where the model cannot do what is asked. */
function generateRequest(
  { model, messages, tools, toolRequired, options }: ChatOrder,
  log: LogOutputChannel,
): GenerateRequestInput {
  const { abilities, settings } = model;
  const { sampling, unknown } = requestOptions(options, model.maxOutputTokens);
  if (unknown.length > 0)
    log.debug(`${unknown.length} options of a chat request are not known and were left out.`);
  return {
    model: model.model,
    events: true,
    ...wireConversation(messages, abilities),
    ...wireTools(tools, toolRequired, abilities),
    ...(tools.length === 0 ? {} : { temperature: toolTemperature }),
    ...(settings.temperature === undefined ? {} : { temperature: settings.temperature }),
    ...(settings.thinking === undefined || !abilities.thinking ? {} : { thinking: settings.thinking }),
    ...sampling,
  };
}

/** Tokens of all that the prompt is made of; undefined where nobody can count them. */
async function countOrder(
  counters: ModelCounters,
  { model, messages, tools }: ChatOrder,
): Promise<number | undefined> {
  const texts = [...messages.map(countedText), ...tools.map((tool) => JSON.stringify(tool))];
  try {
    const counts = await Promise.all(texts.map(counters.of(model).count));
    return counts.reduce((sum, count) => sum + count, 0);
  } catch {
    return undefined;
  }
}
