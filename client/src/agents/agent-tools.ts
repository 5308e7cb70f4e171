import {
  CancellationError,
  Disposable,
  LanguageModelTextPart,
  LanguageModelToolResult,
  lm,
  type CancellationToken,
} from 'vscode';
import { HearthFailure } from '../sidecar/hearth-connection.js';
import type { Sidecar } from '../sidecar/sidecar.js';
import { signalOf } from '../vscode-signal.js';
import { invocationMessages, toolNames } from './tool-names.js';

/** Offers the local model's small jobs to VS Code's agents, and to other extensions, as tools. */
export function offerTools(sidecar: Sidecar): Disposable {
  return Disposable.from(
    ...toolNames.map((name) =>
      lm.registerTool<object>(name, {
        prepareInvocation: () => ({ invocationMessage: invocationMessages[name] }),
        invoke: async ({ input }, token) =>
          new LanguageModelToolResult(await run(sidecar, name, input, token)),
      }),
    ),
  );
}

/** @throws HearthFailure with words for the agent; CancellationError where the call was cancelled */
async function run(
  sidecar: Sidecar,
  name: string,
  input: object,
  token: CancellationToken,
): Promise<LanguageModelTextPart[]> {
  // Says what to wait for or to do where no model is ready.
  sidecar.connection();
  const socketPath = sidecar.health()?.socketPath;
  if (socketPath === undefined) throw new HearthFailure('Hearth is still starting. Try again in a moment.');
  const { runTool } = await import('./run-tool.js');
  const signal = signalOf(token);
  try {
    const { text, cut } = await runTool(socketPath, name, input, signal);
    const parts = [new LanguageModelTextPart(text)];
    return cut ? [...parts, new LanguageModelTextPart('(The answer was cut off at max_tokens.)')] : parts;
  } catch (error) {
    if (signal.aborted) throw new CancellationError();
    throw error;
  }
}
