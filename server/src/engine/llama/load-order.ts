import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { kindNames } from '../../accelerators/kinds.js';
import type { GgufFacts } from '../../models/gguf-check.js';
import type { ModelSource } from '../../models/model-source.js';
import type { TrustedFile } from '../../models/trust/trusted-file.js';
import type { ChosenDevice } from './device-choice.js';
import type { LlamaEngineOptions, LoadPlan } from './engine-options.js';
import type { Incarnation } from './incarnation.js';
import { machineKey } from './thread-memory.js';
import type { GpuOrder, LoadedInfo, LoadOrder, StatesOrder, ThreadChoice } from './worker/messages.js';

/** What a worker is told to load, and what is known of the model on this machine from before. */

const defaultContextSize = 8192;
/** More than any model has. */
const allLayers = 1000;
const defaultStateMemoryBytes = 256 * 1024 * 1024;
const defaultStateDiskBytes = 4 * 1024 * 1024 * 1024;
/** A smaller model is fastest with one thread, whatever the machine. */
const calibrateFromBytes = 20_000_000;
/** Tokens of a prompt that such a model evaluates at once: that takes milliseconds. */
const smallModelBatch = 512;

/** What an order is made of, beside the options of the engine. */
export interface LoadParts {
  readonly file: TrustedFile;
  readonly draft: Incarnation['draft'];
  readonly contextSize: number;
  readonly device: ChosenDevice;
  readonly gpuLayers: number;
  readonly measured: ThreadChoice | undefined;
  readonly plan: LoadPlan | undefined;
}

/** The order for one load. */
export function orderLoad(options: LlamaEngineOptions, parts: LoadParts): LoadOrder {
  const { source, sequences, driver } = options;
  const { file, draft, contextSize, device, gpuLayers, measured, plan } = parts;
  return {
    path: file.path,
    sequences,
    contextSize,
    threads: source.threads ?? (source.sizeBytes < calibrateFromBytes ? 1 : undefined),
    ...(source.sizeBytes < calibrateFromBytes ? { batch: smallModelBatch } : {}),
    longestTokenBytes: file.facts.longestTokenBytes,
    ...(driver === undefined ? {} : { driver }),
    ...(measured === undefined ? {} : { measured }),
    states: orderStates(options),
    ...(device.kind === 'cpu' ? {} : { gpu: orderGpu(device, gpuLayers) }),
    drafts: options.drafts ?? 'off',
    ...orderDraft(options, draft),
    keyValueType: plan?.keyValueType ?? 'f16',
  };
}

/** Tokens of context for each sequence: what was planned or asked for, and no more than the model was trained for. */
export function chooseContextSize(
  { contextSize }: LlamaEngineOptions,
  plan: LoadPlan | undefined,
  { contextLength }: GgufFacts,
): number {
  return Math.min(
    plan?.contextSize ?? contextSize ?? defaultContextSize,
    contextLength ?? defaultContextSize,
  );
}

/** A card that has no room for a single layer does not compute. */
export function settleDevice(
  device: ChosenDevice,
  plan: LoadPlan | undefined,
): { readonly device: ChosenDevice; readonly gpuLayers: number } {
  if (device.kind === 'cpu') return { device, gpuLayers: 0 };
  const gpuLayers = plan?.gpuLayers ?? allLayers;
  if (gpuLayers > 0) return { device, gpuLayers };
  const reason = `${kindNames[device.kind]}: ${device.name} has no room for any layer of this model.`;
  return { device: { kind: 'cpu', reason }, gpuLayers: 0 };
}

/** What is known of this model on this machine; beside a graphics card other widths are the best. */
export async function recallThreads(
  { source, threadMemory, driver }: LlamaEngineOptions,
  { kind }: ChosenDevice,
): Promise<ThreadChoice | undefined> {
  if (kind !== 'cpu') return undefined;
  return threadMemory?.recall(machineKey(identify(source), driver ?? 'ffi'));
}

/** Keeps what was measured while nothing else ran. */
export async function rememberThreads(
  { source, threadMemory }: LlamaEngineOptions,
  { choice, choiceFrom, batch, driver, gpu }: LoadedInfo,
): Promise<void> {
  const isNew = choiceFrom === 'measured' || (choiceFrom === 'remembered' && batch?.from === 'measured');
  if (choice === undefined || !isNew || gpu !== undefined) return;
  const isToKeep = batch?.from === 'measured' || batch?.from === 'remembered';
  const kept = isToKeep ? { ...choice, batch: batch.tokens } : choice;
  await threadMemory?.keep(machineKey(identify(source), driver), kept);
}

function orderGpu({ kind, folder }: Exclude<ChosenDevice, { kind: 'cpu' }>, layers: number): GpuOrder {
  return { kind, layers, ...(folder === undefined ? {} : { folder }) };
}

function orderDraft(
  { draftModel }: LlamaEngineOptions,
  draft: Incarnation['draft'],
): Pick<LoadOrder, 'draft'> {
  if (draftModel === undefined || 'problem' in draftModel) return {};
  if (draft === undefined || 'problem' in draft) return {};
  const isSmall = draftModel.sizeBytes < calibrateFromBytes;
  return { draft: { path: draft.path, name: draftModel.displayName, ...(isSmall ? { threads: 1 } : {}) } };
}

/** States fit one model only: they go by what its file hashes to, or else by which file it is. */
function orderStates(options: LlamaEngineOptions): StatesOrder {
  const { source, stateMemoryBytes, stateDirectory, stateDiskBytes } = options;
  const memoryBytes = stateMemoryBytes ?? defaultStateMemoryBytes;
  if (stateDirectory === undefined) return { memoryBytes };
  const bytes = stateDiskBytes ?? defaultStateDiskBytes;
  return { memoryBytes, disk: { directory: stateDirectory, bytes, key: identify(source) } };
}

/** Which model it is, as a hash. */
function identify({ sha256, path }: ModelSource): string {
  const { size, mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? { size: 0, mtimeMs: 0 };
  return createHash('sha256')
    .update(sha256 ?? `${path}:${String(size)}:${String(mtimeMs)}`)
    .digest('hex');
}
