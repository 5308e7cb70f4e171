import type { ModelEntry, ModelInfo } from '@hearth/protocol';
import type { DaemonApi } from '../../daemon-api.js';
import { modelName } from './read-fields.js';

/** A model as answers name it. */
export interface ServedModel {
  /** As the client asked for it; where it asked for none, the default model's. */
  readonly id: string;
  /** Most tokens of an answer where the request names no bound: half of the context, so that the prompt has room. */
  readonly maxTokens: number;
  /** Tokens of prompt and answer together. */
  readonly contextSize: number;
}

/** Longest answer where nobody asked for a bound, in tokens. */
const longestAnswer = 8192;
/** Where nothing is known of a model's context, in tokens. */
const unknownContext = 4096;

/** The model that will serve a request for `name`, as far as that is known before it is routed. */
export function servedModel(daemon: DaemonApi, name: string | undefined): ServedModel {
  const wanted = modelName(name);
  const backends = daemon.health().backends;
  const backend = backends.find(
    (one) =>
      one.model !== undefined && (wanted === undefined || one.model.id === wanted || one.name === wanted),
  );
  const model = backend?.model;
  const context = model?.contextSize ?? unknownContext;
  return {
    id: wanted ?? model?.id ?? 'default',
    maxTokens: Math.min(longestAnswer, Math.ceil(context / 2)),
    contextSize: context,
  };
}

/** A model that can be asked for by its name. */
export interface ListedModel {
  readonly id: string;
  readonly displayName: string;
  /** Of its file; 0: it has none here. */
  readonly sizeBytes: number;
  /** The backend that has it; undefined: it is loaded when somebody asks for it. */
  readonly backend: string | undefined;
  /** Whether a request would be served without a load. */
  readonly isReady: boolean;
  /** What its engine says of it; undefined: it is not loaded. */
  readonly served: ModelInfo | undefined;
  /** What the store and the header of its file say; undefined: it is at a remote service, or a mock. */
  readonly entry: ModelEntry | undefined;
}

/**
 * Every model that a request may name, each once: those of the backends in priority order, then those of the store, which
 * are loaded on demand.
 */
export async function listModels(daemon: DaemonApi): Promise<readonly ListedModel[]> {
  const stored = (await daemon.models?.list())?.models ?? [];
  const byId = new Map<string, ListedModel>();
  for (const { name, state, model } of daemon.health().backends) {
    if (model === undefined || byId.has(model.id)) continue;
    const { id, displayName, sizeBytes } = model;
    const entry = stored.find((one) => one.name === id);
    const isReady = state.kind === 'ready';
    byId.set(id, { id, displayName, sizeBytes, backend: name, isReady, served: model, entry });
  }
  for (const entry of stored) {
    // A projector is a part of another model.
    if (byId.has(entry.name) || entry.purpose === 'projector') continue;
    const { name: id, displayName, sizeBytes } = entry;
    const none = { backend: undefined, isReady: false, served: undefined };
    byId.set(id, { id, displayName, sizeBytes, entry, ...none });
  }
  return [...byId.values()];
}

/** The model of that name, or of the backend of that name; undefined as `name`: the first. Undefined: there is none. */
export async function findModel(
  daemon: DaemonApi,
  name: string | undefined,
): Promise<ListedModel | undefined> {
  const models = await listModels(daemon);
  if (name === undefined) return models[0];
  return models.find(({ id }) => id === name) ?? models.find(({ backend }) => backend === name);
}
