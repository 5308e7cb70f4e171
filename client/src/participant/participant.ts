import type { GenerateRequestInput } from '@hearth/protocol';
import {
  chat,
  ChatRequestTurn,
  ChatResponseMarkdownPart,
  ChatResponseTurn,
  ThemeIcon,
  type ChatContext,
  type ChatRequest,
  type ChatResponseStream,
  type ChatResult,
  type Disposable,
} from 'vscode';
import { offeredModels, type OfferedModel } from '../language-model/offered-models.js';
import { waiting } from '../language-model/waiting.js';
import { modelCounters } from '../language-model/token-counter.js';
import { HearthFailure, type GenerateOutcome, type HearthConnection } from '../sidecar/hearth-connection.js';
import { readyConnection } from '../sidecar/ready-connection.js';
import type { Sidecar } from '../sidecar/sidecar.js';
import { waitNews } from '../streaming/wait-news.js';
import { helpActions } from '../status/failure-help.js';
import { signalOf } from '../vscode-signal.js';
import { fitQuestion, needsCode, type CodeTask, type EarlierTurn } from './code-question.js';
import { findSubjects } from './code-subjects.js';
import { healthReport, modelsReport, queueReport } from './reports.js';

/** As `chatParticipants` in the manifest has it. */
const participantId = 'hearth.hearth';
const bestModelButton = { command: 'hearth.useBestModel', title: 'Use the Best Model for This Machine' };

/**
 * `@hearth` in VS Code's chat. It asks the model of the daemon, whichever one is chosen in the chat, and needs no other
 * extension and no account. Without tools, and with as little around a question as can be, it has room where the agent
 * of VS Code has none.
 */
export function addParticipant(sidecar: Sidecar): Disposable {
  const participant = chat.createChatParticipant(participantId, async (request, context, response, token) => {
    try {
      return await answer(sidecar, request, context, response, signalOf(token));
    } catch (error) {
      if (!(error instanceof HearthFailure)) throw error;
      for (const { title, commands: steps } of helpActions(error.help)) {
        const [[command, ...given] = []] = steps;
        if (command !== undefined) response.button({ title, command, arguments: given });
      }
      return { errorDetails: { message: error.message } };
    }
  });
  participant.iconPath = new ThemeIcon('flame');
  return participant;
}

async function answer(
  sidecar: Sidecar,
  request: ChatRequest,
  context: ChatContext,
  response: ChatResponseStream,
  signal: AbortSignal,
): Promise<ChatResult> {
  switch (request.command) {
    case 'health':
      response.markdown(healthReport(sidecar.health(), sidecar.state()));
      response.button({ command: 'hearth.backends.focus', title: 'Show Backends' });
      return {};
    case 'queue':
      response.markdown(queueReport(sidecar.health(), sidecar.streams()));
      response.button({ command: 'hearth.streams.focus', title: 'Show Streams' });
      return {};
    case 'models':
      response.markdown(modelsReport(await sidecar.connection().listModels(), sidecar.health()));
      response.button(bestModelButton);
      response.button({ command: 'hearth.switchModel', title: 'Switch Model…' });
      response.button({ command: 'hearth.addModel', title: 'Add Model…' });
      return {};
    case undefined:
    default:
      return askModel(sidecar, request, context, response, signal);
  }
}

/** @throws HearthFailure with words for the person who asked. */
async function askModel(
  sidecar: Sidecar,
  request: ChatRequest,
  context: ChatContext,
  response: ChatResponseStream,
  signal: AbortSignal,
): Promise<ChatResult> {
  const task = taskOf(request.command);
  const subjects =
    needsCode(task) || request.references.length > 0 ? await findSubjects(request.references) : [];
  if (needsCode(task) && subjects.every(({ code }) => code.trim() === '')) {
    throw new HearthFailure(
      `There is no code to work on. Open a file, select the code, or attach it, and ask @hearth /${task} again.`,
    );
  }
  if (task === 'ask' && request.prompt.trim() === '') {
    response.markdown(
      'Ask something, or use a command: `/explain`, `/fix`, `/tests`, `/doc`, `/health`, `/models`, `/queue`.',
    );
    return {};
  }
  for (const { location } of subjects) response.reference(location);
  const connection = await readyConnection(sidecar, signal);
  if (connection === undefined) return {};
  const model = firstModel(sidecar);
  const counter = modelCounters((texts, name) => connection.countTokens(texts, name)).of(model);
  const fitted = await fitQuestion(
    { task, prompt: request.prompt, subjects, earlier: earlierTurns(context) },
    model.maxInputTokens,
    (texts) => Promise.all(texts.map(counter.count)),
  );
  if (fitted.kind === 'too_long') {
    throw new HearthFailure(
      `This has ${fitted.tokens} tokens, and the context of ${model.name} has room for ${model.maxInputTokens} beside the answer. Select or attach less, or choose a model with a larger context with “Hearth: Switch Model…”.`,
    );
  }
  const asked = {
    model: model.model,
    messages: [...fitted.messages],
    max_tokens: model.maxOutputTokens,
    events: true,
  };
  const outcome = await streamAnswer(connection, asked, response, signal);
  if (outcome.kind === 'done') tellEnd(outcome.result.content, outcome.result.stopReason, response);
  // What the model's picker says of it is where one looks last.
  if (model.caution !== undefined) response.button({ ...bestModelButton, tooltip: model.caution });
  return {};
}

/** Streams the answer into the chat, and says there and in the status bar what it waits for before it begins. */
async function streamAnswer(
  connection: HearthConnection,
  request: GenerateRequestInput,
  response: ChatResponseStream,
  signal: AbortSignal,
): Promise<GenerateOutcome> {
  const wait = waiting();
  let told = '';
  // VS Code shows each of these below the one before: without figures there are few, and the status bar has those.
  const inAnswer = waitNews((_words, what) => {
    if (what === told) return;
    told = what;
    response.progress(`${sentence(what)} …`);
  });
  const onText = (text: string): void => {
    wait.over();
    response.markdown(text);
  };
  try {
    return await connection.generate({ request, client: '@hearth' }, onText, signal, (news) => {
      inAnswer(news);
      wait.news(news);
    });
  } finally {
    wait.over();
  }
}

function sentence(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function tellEnd(content: string, stopReason: string, response: ChatResponseStream): void {
  if (stopReason === 'length')
    response.markdown('\n\n*The answer was cut off: it had reached the longest that this model gives.*');
  else if (content.trim() === '') response.markdown('*The model had nothing to say. Ask in other words.*');
}

function taskOf(command: string | undefined): CodeTask {
  return command === 'explain' || command === 'fix' || command === 'tests' || command === 'doc'
    ? command
    : 'ask';
}

/** @throws HearthFailure where no model writes */
function firstModel(sidecar: Sidecar): OfferedModel {
  const health = sidecar.health();
  const [model] = health === undefined ? [] : offeredModels(health);
  if (model === undefined)
    throw new HearthFailure(
      'No model that writes is loaded. “Hearth: Switch Model…” or “Hearth: Add Model…” gets one.',
    );
  return model;
}

/** What was said to `@hearth` in this chat and what it answered, oldest first. */
function earlierTurns({ history }: ChatContext): readonly EarlierTurn[] {
  return history.flatMap((turn): EarlierTurn[] => {
    if (turn instanceof ChatRequestTurn) {
      const command = turn.command === undefined ? '' : `/${turn.command} `;
      return [{ role: 'user', content: `${command}${turn.prompt}` }];
    }
    if (!(turn instanceof ChatResponseTurn)) return [];
    const content = turn.response
      .map((part) => (part instanceof ChatResponseMarkdownPart ? part.value.value : ''))
      .join('');
    return [{ role: 'assistant', content: content === '' ? '(no answer)' : content }];
  });
}
