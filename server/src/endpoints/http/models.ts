import type { BackendHealth, ModelInfo } from '@hearth/protocol';
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

/** A model that can be asked for. */
export interface ListedModel extends ModelInfo {
  readonly backend: string;
  readonly state: BackendHealth['state']['kind'];
}

/** Every model that the daemon has, each once, in priority order. */
export function listModels(daemon: DaemonApi): readonly ListedModel[] {
  const byId = new Map<string, ListedModel>();
  for (const { name, state, model } of daemon.health().backends) {
    if (model !== undefined && !byId.has(model.id))
      byId.set(model.id, { ...model, backend: name, state: state.kind });
  }
  return [...byId.values()];
}
