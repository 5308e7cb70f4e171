import { asks, errorOf, HearthError, limits } from '@hearth/protocol';
import { connectChannels, ConnectError } from '@hearth/protocol/node';
import { StartupError } from '../lock/startup-error.js';
import { type ExitCode, exitCodes } from './exit-codes.js';
import { findPaths } from './find-paths.js';
import { onInterrupt } from './signals.js';

export interface ApproveFlags {
  readonly runtimeDir?: string;
  readonly summary?: string;
  readonly timeout?: number;
}

/** Seconds that a person has to answer unless a flag says otherwise. */
const defaultTimeout = 120;

/**
 * `hearth approve`: asks whoever sits at an editor whether something may be done, so that a script or an agent can ask
 * before it acts. Never starts a daemon: without an editor that is connected there is nobody to ask.
 *
 * @throws HearthError where nobody answers such questions, or not in time
 */
export async function approve(tool: string, flags: ApproveFlags): Promise<ExitCode> {
  const timeoutMs = (flags.timeout ?? defaultTimeout) * 1000;
  if (!(timeoutMs > 0 && timeoutMs <= limits.replyTimeoutMs)) {
    throw new StartupError('config', `--timeout: 1 to ${String(limits.replyTimeoutMs / 1000)} seconds`);
  }
  const interrupted = onInterrupt();
  const answer = await ask(tool, flags, timeoutMs, interrupted);
  if (interrupted.aborted) return exitCodes.interrupted;
  process.stdout.write(answer ? 'allowed\n' : 'denied\n');
  return answer ? exitCodes.ok : exitCodes.denied;
}

async function ask(
  tool: string,
  { runtimeDir, summary }: ApproveFlags,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  const question = { tool, ...(summary === undefined ? {} : { summary }) };
  const connection = await connectChannels(findPaths(runtimeDir).inference, signal).catch(
    (error: unknown) => {
      throw error instanceof ConnectError ? nobody() : error;
    },
  );
  try {
    const request = { type: 'ask', id: 'approve', kind: 'approve_tool_call', question } as const;
    await connection.send({ ...request, timeout_ms: timeoutMs });
    for await (const frame of connection.frames) {
      if (frame.type === 'error') {
        throw frame.code === 'not_found' ? nobody() : errorOf(frame);
      }
      if (frame.type === 'answer') return asks.approve_tool_call.answer.parse(frame.body).approved;
    }
  } finally {
    connection.close();
  }
  if (signal.aborted) return false;
  throw new HearthError('backend_unavailable', 'the daemon ended before anybody had answered');
}

function nobody(): HearthError {
  return new HearthError(
    'backend_unavailable',
    'nobody is there to be asked: open a VS Code window with Hearth on this machine, then try again',
  );
}
