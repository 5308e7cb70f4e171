import path from 'node:path';
import { HearthError, toHearthError } from '@hearth/protocol';
import type { Config } from '../config/config.js';
import type { Engine } from '../engine/engine.js';
import type { ModelSource } from '../models/model-source.js';
import { AcceleratorStore } from '../accelerators/accelerator-store.js';
import { thisMachine } from '../accelerators/packages.js';
import type { DeviceChoice } from '../engine/llama/device-choice.js';
import { measureMachine } from '../models/machine/measure-machine.js';
import { estimateMemory } from '../models/memory/estimate.js';
import { fitModel, usualContext } from '../models/memory/fit.js';
import { fitOnGpu } from '../models/memory/gpu-fit.js';
import { freeMemory } from '../models/memory/free-memory.js';
import type { FreeMemory } from '../models/memory/free-memory.js';
import type { GgufFacts } from '../models/gguf-check.js';
import { keyValueTypeFor } from '../models/memory/key-value-type.js';
import { defaultModelHosts, type PullPolicy } from '../models/pull/pull-policy.js';
import { huggingFaceOrigin } from '../models/pull/pull-source.js';
import { resolveModel } from '../models/resolve-model.js';
import { ModelStore } from '../models/store/model-store.js';
import { modelsHome } from '../models/store/models-home.js';
import type { ModelsConfig } from '../residency/models.js';
import { RememberedChoice } from '../residency/remembered-choice.js';

/** How an engine for one model is made. */
export interface LlamaChoice {
  readonly source: ModelSource;
  readonly name?: string | undefined;
  /** Undefined: chosen from what the model was trained on and what is free. */
  readonly contextSize?: number | undefined;
}

const mebibyte = 1024 * 1024;

/** Makes an engine that looks at the memory before each load. The engine's code is loaded when one is needed. */
export async function llamaMaker(config: Config): Promise<(choice: LlamaChoice) => Engine> {
  const { LlamaEngine } = await import('../engine/llama/llama-engine.js');
  const { ThreadMemory } = await import('../engine/llama/thread-memory.js');
  const devices = await makeDeviceChoice(config.accelerator);
  const { active_permits: sequences, engine_driver: driver } = config;
  const threadMemory = new ThreadMemory(path.join(modelsHome(process.env), '..', 'threads.json'));
  const draftModel = config.speculation === 'draft' ? await findDraft(config.draft_model) : undefined;
  return ({ source, name, contextSize }) =>
    new LlamaEngine({
      source,
      sequences,
      ...(driver === 'auto' ? {} : { driver }),
      drafts: config.speculation,
      ...(draftModel === undefined ? {} : { draftModel }),
      stateMemoryBytes: config.kv_memory_mib * mebibyte,
      stateDiskBytes: config.kv_disk_mib * mebibyte,
      ...(config.kv_disk ? { stateDirectory: path.join(modelsHome(process.env), '..', 'kv') } : {}),
      threadMemory,
      privateDirectory: path.join(modelsHome(process.env), 'private'),
      claim: async ({ storeName }) => (storeName === undefined ? noClaim : useInStore(storeName)),
      chooseDevice: (signal) => devices.choose(signal),
      planLoad: async (facts, device, draft) => {
        const keyValueType = keyValueTypeFor(facts, config.kv_type);
        const wish = { contextSize, sequences, gpuLayers: config.gpu_layers, keyValueType };
        const free = await freeMemory();
        if (device.kind !== 'cpu') return { ...fitOnGpu(facts, wish, free, device), keyValueType };
        const drafts = draft !== undefined && facts.purpose === 'generate';
        const left = !drafts ? free : besideDraft(free, draft, wish);
        return { contextSize: fitModel(facts, wish, left).contextSize, gpuLayers: 0, keyValueType };
      },
      ...(name === undefined ? {} : { name }),
      ...(contextSize === undefined ? {} : { contextSize }),
    });
}

/** A draft model that is not there keeps no model from its work: it is said in the model's state. */
async function findDraft(named: string | undefined): Promise<ModelSource | { readonly problem: string }> {
  try {
    return await resolveModel(named);
  } catch (error) {
    return { problem: toHearthError(error).message };
  }
}

/** What a draft model, whose context is as long as the model's, leaves free. */
function besideDraft(
  free: FreeMemory,
  draft: GgufFacts,
  {
    contextSize = usualContext,
    sequences,
  }: { readonly contextSize: number | undefined; readonly sequences: number },
): FreeMemory {
  const { total, worker } = estimateMemory(draft, { contextSize, sequences });
  return { ...free, bytes: Math.max(0, free.bytes - (total - worker)) };
}

const noClaim = { release: () => undefined };

/** A disk without locks, or that cannot be written to, keeps nobody from using its models. */
async function useInStore(name: string): Promise<{ release(): void }> {
  try {
    return await new ModelStore(modelsHome(process.env)).use(name);
  } catch (error) {
    if (error instanceof HearthError) throw error;
    return noClaim;
  }
}

/** What chooses between the processor and graphics cards: one for all models, whose tests take turns. */
export async function makeDeviceChoice(wanted: Config['accelerator']): Promise<DeviceChoice> {
  const { DeviceChoice } = await import('../engine/llama/device-choice.js');
  const { testGpu } = await import('../engine/llama/gpu-self-test.js');
  const { findWorker } = await import('../engine/llama/find-worker.js');
  return new DeviceChoice({
    wanted,
    store: new AcceleratorStore(modelsHome(process.env)),
    machine: thisMachine(),
    test: async (gpu, signal) => {
      const { path: modelPath } = await resolveModel(undefined);
      return testGpu({ gpu, modelPath, workerPath: findWorker(), signal });
    },
  });
}

/** What a pull may do, by configuration and environment. */
export function pullPolicyOf(hosts: readonly string[], env: NodeJS.ProcessEnv): PullPolicy {
  return {
    hosts: [...defaultModelHosts, ...hosts],
    // A mirror on this machine is named by the person who runs both.
    allowLoopback: (env['HF_ENDPOINT'] ?? '').startsWith('http://') || env['HEARTH_ALLOW_LOOPBACK'] === '1',
    offline: isSet(env['HEARTH_OFFLINE']),
    mostBytes: 1024 ** 4,
  };
}

/** Where `hf:` names lead. */
export function huggingFaceOf(env: NodeJS.ProcessEnv): string {
  const endpoint = env['HF_ENDPOINT'] ?? '';
  return URL.canParse(endpoint) ? new URL(endpoint).origin : huggingFaceOrigin;
}

/** The models of a daemon: the store, and the one that it is started with. */
export async function makeModels(
  config: Config,
  own: { readonly source: ModelSource; readonly engine: Engine } | undefined,
): Promise<ModelsConfig> {
  const make = await llamaMaker(config);
  const store = new ModelStore(modelsHome(process.env));
  return {
    store,
    policy: {
      mostLoaded: config.max_loaded_models,
      leastStayMs: config.model_stay_secs * 1000,
      idleMs: config.model_idle_secs * 1000,
      patienceMs: config.model_patience_secs * 1000,
      retryMs: 5000,
    },
    pullPolicy: pullPolicyOf(config.model_hosts, process.env),
    huggingFace: huggingFaceOf(process.env),
    tokenEnv: config.model_token_env,
    makeEngine: (source) => make({ source, name: source.id, contextSize: config.context_size }),
    measure: async (onStep, isQuiet, signal) => {
      const { makeMeasuringEngine } = await import('./measuring-engine.js');
      return measureMachine({ store, makeEngine: makeMeasuringEngine, onStep, isQuiet }, signal);
    },
    own,
    choice: config.model === undefined && own !== undefined ? new RememberedChoice(store.home) : undefined,
  };
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== '' && value !== '0';
}
