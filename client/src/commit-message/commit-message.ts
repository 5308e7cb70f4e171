import { commands, ProgressLocation, Uri, window, workspace } from 'vscode';
import type { ModelInfo } from '@hearth/protocol';
import { tooLong } from '../code-commands/question-prompt.js';
import { HearthFailure, type HearthConnection } from '../sidecar/hearth-connection.js';
import { readyModel } from '../sidecar/ready-model.js';
import type { Sidecar } from '../sidecar/sidecar.js';
import { throttled } from '../throttled.js';
import {
  commitRequest,
  messageIn,
  type CommitFormat,
  type CommitRequest,
  type StagedChange,
} from './commit-prompt.js';
import { commitBox } from './commit-box.js';
import { meantRepository, type GitRepository } from './git-api.js';

/** Least time between two updates of the box, in milliseconds. */
const updateMs = 50;
/** Earlier messages that the model sees. */
const recentMessages = 5;
/** Most characters of a diff that are looked at. */
const longestDiff = 4 * 1024 * 1024;

/** The message that is being written, if one is: there is one at a time. */
let running: AbortController | undefined;

/** The commands that write a commit message, by name. They fail with a HearthFailure that is for the person. */
export function commitCommands(sidecar: Sidecar): Readonly<Record<string, (...args: never[]) => unknown>> {
  return {
    'hearth.generateCommitMessage': (view?: unknown) => generateCommitMessage(sidecar, rootOf(view)),
    'hearth.stopCommitMessage': () => running?.abort(),
  };
}

/**
 * Writes a message for what is staged into the box of the Source Control view, as the model thinks of it. What stood there
 * is a hint to the model, and comes back where nothing was written in its place. Whoever types into the box meanwhile ends
 * the writing: the box stays as they left it, with what had been written and what they typed.
 */
async function generateCommitMessage(sidecar: Sidecar, rootUri: Uri | undefined): Promise<void> {
  const repository = await meantRepository(rootUri);
  if (repository === undefined) return;
  const model = readyModel(sidecar);
  const connection = sidecar.connection();
  running?.abort();
  const stop = new AbortController();
  running = stop;
  await commands.executeCommand('setContext', 'hearth.writingCommitMessage', true);
  try {
    const options = {
      location: ProgressLocation.SourceControl,
      title: `Hearth: ${model.displayName} writes a commit message`,
    };
    await window.withProgress(options, async () => {
      const request = await fittingRequest(await stagedChange(repository), model, connection);
      await writeInto(repository, connection, { ...request, model: model.id }, stop);
    });
  } finally {
    if (running === stop) {
      running = undefined;
      await commands.executeCommand('setContext', 'hearth.writingCommitMessage', false);
    }
  }
}

/** @throws HearthFailure where nothing is staged */
async function stagedChange(repository: GitRepository): Promise<StagedChange> {
  const diff = (await repository.diff(true)).slice(0, longestDiff);
  if (diff.trim() === '') {
    throw new HearthFailure(
      'Nothing is staged. Stage what the commit is to hold ("Git: Stage Changes", or the plus beside a file), and try again.',
    );
  }
  const log = await repository.log({ maxEntries: recentMessages }).catch(() => []);
  const settings = workspace.getConfiguration('hearth', repository.rootUri);
  return {
    diff,
    recent: log.map(({ message }) => message.split('\n')[0] ?? ''),
    hint: repository.inputBox.value,
    format: settings.get<CommitFormat>('commitMessage.format') === 'conventional' ? 'conventional' : 'free',
  };
}

/** The request with as much of the diff as really fits, by the model's own count. @throws HearthFailure where none does */
async function fittingRequest(
  change: StagedChange,
  model: ModelInfo,
  connection: HearthConnection,
): Promise<CommitRequest> {
  for (let share = 1; share > 0.1; share *= 0.7) {
    const request = commitRequest(change, model, share);
    if (request === undefined) break;
    const counts = await connection.countTokens(request.messages.map(({ content }) => content));
    const prompt = counts.reduce((sum, count) => sum + count, 0);
    if (prompt + request.max_tokens + templateTokens <= model.contextSize) return request;
  }
  throw new HearthFailure(tooLong('What is staged', model));
}

/** For the marks of the model's template between the messages. */
const templateTokens = 64;

async function writeInto(
  repository: GitRepository,
  connection: HearthConnection,
  request: CommitRequest & { readonly model: string },
  stop: AbortController,
): Promise<void> {
  const before = repository.inputBox.value.replaceAll('\r\n', '\n');
  const box = commitBox(repository, () => stop.abort());
  let answer = '';
  const update = throttled(updateMs, () => {
    const message = messageIn(answer);
    if (message !== '') box.show(message);
  });
  try {
    await connection.generate(
      { request, client: 'commit message' },
      (text) => {
        answer += text;
        update.call();
      },
      stop.signal,
    );
  } finally {
    update.dispose();
    const message = messageIn(answer).trimEnd();
    // Half a message does not take the place of the author's own words.
    box.show(message === '' || (stop.signal.aborted && before !== '') ? before : message);
    await box.settled();
    box.dispose();
  }
}

/** Of the source control whose button was clicked. */
function rootOf(view: unknown): Uri | undefined {
  if (typeof view !== 'object' || view === null || !('rootUri' in view)) return undefined;
  return view.rootUri instanceof Uri ? view.rootUri : undefined;
}
