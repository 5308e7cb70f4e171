import {
  BestModelRequest,
  HearthError,
  ModelsChanged,
  ModelsRequest,
  PullModelRequest,
  RemoveModelRequest,
  SwitchModelRequest,
} from '@hearth/protocol';
import type { MessageConnection, RequestType, RequestType0 } from 'vscode-jsonrpc/node';
import * as z from 'zod';
import type { DaemonApi, ModelsApi } from '../../daemon-api.js';
import { check } from './answer.js';

const name = z.string().min(1).max(96);
const progressToken = z.union([z.string().max(256), z.number()]).optional();
const pullSchema = z.object({ source: z.string().min(1).max(2048), name: name.optional(), progressToken });
const switchSchema = z.object({ name: z.string().min(1).max(256), progressToken });
const bestSchema = z.object({
  kind: z.enum(['fim', 'chat', 'embed', 'rerank']).default('fim'),
  progressToken,
});
const removeSchema = z.object({ name });

/** Registers one request of a connection. */
export type Register = <P, R, E>(
  type: RequestType<P, R, E> | RequestType0<R, E>,
  handler: (params: unknown, signal: AbortSignal) => R | Promise<R>,
) => void;

/**
 * The requests about models on one connection, and word of their changes. Progress that the peer does not read in time
 * is left out, but for the latest.
 *
 * @returns what ends it
 */
export function serveModels(
  register: Register,
  connection: MessageConnection,
  daemon: DaemonApi,
): () => void {
  const { models } = daemon;
  let listening = false;
  register(ModelsRequest.type, async () => {
    listen();
    if (models === undefined) return { models: [], catalogue: [], freeBytes: 0 };
    return models.list();
  });
  register(BestModelRequest.type, async (params, signal) => {
    const { kind, progressToken: token } = check(bestSchema, params ?? {});
    const tell = latestOnly((step: BestModelRequest.Progress) =>
      token === undefined
        ? Promise.resolve()
        : connection.sendProgress(BestModelRequest.progress, token, step),
    );
    return required(models).best(kind, tell, signal);
  });
  register(PullModelRequest.type, async (params, signal) => {
    const { source, name: wanted, progressToken: token } = check(pullSchema, params);
    const tell = latestOnly((step: PullModelRequest.Progress) =>
      token === undefined
        ? Promise.resolve()
        : connection.sendProgress(PullModelRequest.progress, token, step),
    );
    return await required(models).pull(
      { source, ...(wanted === undefined ? {} : { name: wanted }) },
      tell,
      signal,
    );
  });
  register(SwitchModelRequest.type, async (params, signal) => {
    const { name: wanted, progressToken: token } = check(switchSchema, params);
    const tell = latestOnly((step: SwitchModelRequest.Progress) =>
      token === undefined
        ? Promise.resolve()
        : connection.sendProgress(SwitchModelRequest.progress, token, step),
    );
    await required(models).switchTo(
      wanted,
      (phase, progress) => tell({ phase, ...(progress === undefined ? {} : { progress }) }),
      signal,
    );
    return { name: wanted };
  });
  register(RemoveModelRequest.type, async (params) => ({
    freedBytes: await required(models).remove(check(removeSchema, params).name),
  }));

  const tellChange = latestOnly(() => connection.sendNotification(ModelsChanged.type));
  const changed = (): void => tellChange(undefined);
  /** An editor that never asks for models knows nothing of them, and is told nothing. */
  function listen(): void {
    if (listening) return;
    listening = true;
    models?.events.on('change', changed);
  }
  return () => models?.events.off('change', changed);
}

function required(models: ModelsApi | undefined): ModelsApi {
  if (models !== undefined) return models;
  throw new HearthError(
    'unsupported_parameter',
    'This daemon serves the models that it was started with, and no other.',
  );
}

/** Sends one at a time; of those that come meanwhile only the last goes out. */
function latestOnly<T>(send: (value: T) => Promise<void>): (value: T) => void {
  let sending = false;
  let waiting: { readonly value: T } | undefined;
  const next = (value: T): void => {
    sending = true;
    const done = (): void => {
      sending = false;
      const latest = waiting;
      waiting = undefined;
      if (latest !== undefined) next(latest.value);
    };
    // A peer that is gone learns nothing more; the close of its connection deals with it.
    send(value).then(done, () => undefined);
  };
  return (value) => {
    if (sending) waiting = { value };
    else next(value);
  };
}
