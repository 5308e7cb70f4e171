import { HearthFailure } from './hearth-connection.js';
import type { SidecarSession } from './session.js';
import type { SessionEnd } from './supervisor.js';

/**
 * A session whose code is loaded first. The language client is by far the largest part of the extension, and
 * `activate` must not wait for it.
 */
export function lazySession(start: () => Promise<SidecarSession>): SidecarSession {
  let session: SidecarSession | undefined;
  let asked: 'leave' | 'end' | undefined;
  const ended = start().then(
    (started) => {
      session = started;
      if (asked !== undefined) started.stop(asked);
      return started.ended;
    },
    (error: unknown): SessionEnd => ({
      kind: 'not_started',
      reason: `The sidecar could not be started (${error instanceof Error ? error.name : 'unknown'}).`,
    }),
  );
  const running = (): SidecarSession => {
    if (session === undefined) throw new HearthFailure('Hearth is still starting.');
    return session;
  };
  return {
    ended,
    stop: (how) => {
      asked = how;
      session?.stop(how);
    },
    generate: (params, onText, signal, onOther) => running().generate(params, onText, signal, onOther),
    countTokens: (texts, model) => running().countTokens(texts, model),
    cancelStream: (streamId) => running().cancelStream(streamId),
    listModels: () => running().listModels(),
    bestModel: (onProgress, signal) => running().bestModel(onProgress, signal),
    pullModel: (source, onProgress, signal) => running().pullModel(source, onProgress, signal),
    switchModel: (name, onProgress, signal) => running().switchModel(name, onProgress, signal),
  };
}
