import type { ModelInfo } from '@hearth/protocol';
import type { GgufFacts } from '../../models/gguf-check.js';
import type { ModelSource } from '../../models/model-source.js';
import type { EngineCapabilities } from '../encoding.js';
import type { Incarnation } from './incarnation.js';
import type { LoadedInfo } from './worker/messages.js';

type Loaded = Pick<Incarnation, 'device' | 'gpuLayers' | 'draft'>;

/** A model that is ready, as clients and people are told of it. */
export function modelInfoOf(
  source: ModelSource,
  incarnation: Loaded,
  info: LoadedInfo,
  facts: GgufFacts,
  capabilities: EngineCapabilities,
): ModelInfo {
  return {
    id: source.id,
    displayName: source.displayName,
    contextSize: info.contextSize,
    sizeBytes: facts.sizeBytes,
    infill: info.infill,
    ...(capabilities.embed ? { dimensions: info.embedder?.dimensions ?? 0 } : {}),
    chat: facts.chatTemplate,
    driver: info.driver,
    ...(info.driverReason === undefined ? {} : { driverReason: info.driverReason }),
    threads: info.threads,
    threadsFrom: info.choiceFrom ?? (source.threads === undefined ? 'fixed' : 'configured'),
    ...draftOf(info, incarnation.draft),
    ...(info.batch === undefined ? {} : { batch: info.batch.tokens, batchFrom: info.batch.from }),
    accelerator: describeDevice(incarnation, info),
    // The other driver cannot say how likely its tokens are.
    ...(facts.confidence === undefined || info.driver !== 'ffi' ? {} : { confidence: facts.confidence }),
    ...(source.caution === undefined ? {} : { caution: source.caution }),
  };
}

/** A model that was trained for vectors or scores does not generate, and one that generates gives neither. */
export function capabilitiesFor({ infill, embedder, tools, thinking }: LoadedInfo): EngineCapabilities {
  const encodes = embedder?.only === true;
  return {
    generate: !encodes,
    embed: encodes && embedder.gives === 'vectors',
    rerank: encodes && embedder.gives === 'scores',
    tokenize: true,
    vision: false,
    tools: tools === true,
    thinking: thinking === true,
    infill,
  };
}

/** What guesses ahead, as it is shown. */
function draftOf({ draft: loaded }: LoadedInfo, ordered: Loaded['draft']): Pick<ModelInfo, 'draft'> {
  const draft = loaded ?? (ordered !== undefined && 'problem' in ordered ? ordered : undefined);
  return draft === undefined ? {} : { draft };
}

function describeDevice(
  { device, gpuLayers }: Loaded,
  { cpuVariant }: LoadedInfo,
): NonNullable<ModelInfo['accelerator']> {
  const variant = cpuVariant === undefined ? {} : { cpuVariant };
  if (device.kind !== 'cpu') return { kind: device.kind, device: device.name, gpuLayers, ...variant };
  return { kind: 'cpu', ...variant, ...(device.reason === undefined ? {} : { reason: device.reason }) };
}
