import { promises as fs } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { generateRequestSchema, HearthError, resolveGeneration } from '@hearth/protocol';
import * as z from 'zod';
import type { Engine } from '../../engine/engine.js';
import type { ModelSource } from '../model-source.js';
import type { ModelStore } from '../store/model-store.js';
import { writeSyntheticModel } from '../synthetic/synthetic-model.js';

const contextSize = 512;
/** A model of 60 MB: too large for the processor's caches, and written in no time. */
const shape = {
  width: 512,
  layers: 12,
  heads: 8,
  keyValueHeads: 4,
  feedForward: 1536,
  vocabulary: 24_000,
  contextLength: contextSize,
} as const;
/** Tokens that are timed; enough for the engine to settle on its threads. */
const tokens = 64;

const measuredSchema = z.object({
  schema: z.literal(1),
  /** What it was measured on. */
  processor: z.string(),
  bytesPerSecond: z.number().positive(),
  measuredAt: z.string(),
});

/** How fast this machine passes through weights, measured now or read from the store. */
export interface MeasuredMachine {
  readonly bytesPerSecond: number;
  readonly measuredAt: string;
}

/** What a measurement is at: a made-up model is written, loaded, and has the engine's speed taken. */
export type MeasuringStep = 'prepare' | 'load' | 'time';

/** What {@link measureMachine} works with. */
export interface Measuring {
  /** Where the result is remembered. */
  readonly store: ModelStore;
  /** Makes an engine for one request at a time, on the processor. */
  readonly makeEngine: (source: ModelSource, contextSize: number) => Engine;
  /** Hears each step as it begins. */
  readonly onStep?: (step: MeasuringStep) => void;
  /** Whether nothing of ours keeps the processor busy. What was measured beside other work is not remembered. @default always */
  readonly isQuiet?: () => boolean;
}

/** What was measured on this processor before; undefined: nothing. */
export async function readMeasurement(store: ModelStore): Promise<MeasuredMachine | undefined> {
  const text = await fs.readFile(placeOf(store), 'utf8').catch(() => '');
  const parsed = measuredSchema.safeParse(parseJson(text));
  return parsed.success && parsed.data.processor === processorName() ? parsed.data : undefined;
}

/**
 * Has the engine write with a made-up model of 60 MB for a few seconds, and remembers the result in the store.
 *
 * @throws HearthError where the engine cannot run here; an AbortError after `signal`
 */
export async function measureMachine(measuring: Measuring, signal: AbortSignal): Promise<MeasuredMachine> {
  const { store, onStep = ignore, isQuiet = () => true } = measuring;
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'hearth-measure-'));
  try {
    onStep('prepare');
    const file = path.join(folder, 'made-up.gguf');
    const sizeBytes = await writeSyntheticModel(file, shape);
    signal.throwIfAborted();
    const source = { id: 'made-up', displayName: 'made up', path: file, sizeBytes };
    const wasQuiet = isQuiet();
    const tokensPerSecond = await timeModel(measuring.makeEngine(source, contextSize), onStep, signal);
    // The table of embeddings is looked up, not passed through.
    const passed = sizeBytes - (shape.vocabulary * shape.width * 34) / 32;
    const measured = {
      schema: 1,
      processor: processorName(),
      bytesPerSecond: tokensPerSecond * passed,
      measuredAt: new Date().toISOString(),
    } as const;
    if (wasQuiet && isQuiet()) await remember(store, measured);
    return measured;
  } finally {
    await fs.rm(folder, { recursive: true, force: true });
  }
}

async function timeModel(
  engine: Engine,
  onStep: (step: MeasuringStep) => void,
  signal: AbortSignal,
): Promise<number> {
  try {
    onStep('load');
    engine.start();
    await untilReady(engine, signal);
    onStep('time');
    const asked = { id: 'measure', prompt: 'a', max_tokens: tokens, temperature: 0, seed: 1 };
    const request = resolveGeneration(generateRequestSchema.parse(asked), 'measure');
    for (let round = 0; round < 2; round += 1) {
      for await (const chunk of engine.generate(request, signal)) if (chunk.kind === 'done') break;
      // An engine that is cancelled ends with `done` like any other.
      signal.throwIfAborted();
    }
    if (engine.tokensPerSecond === undefined)
      throw new HearthError('internal', 'The engine wrote nothing to measure.');
    return engine.tokensPerSecond;
  } finally {
    await engine.stop();
  }
}

async function untilReady(engine: Engine, signal: AbortSignal): Promise<void> {
  const end = new AbortController();
  let look = (): void => undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      look = () => {
        const { state } = engine;
        if (state.kind === 'ready') resolve();
        if (state.kind === 'failed') reject(new HearthError(state.code, state.reason));
      };
      engine.events.on('state', look);
      const abort = (): void => reject(new DOMException('aborted', 'AbortError'));
      if (signal.aborted) abort();
      signal.addEventListener('abort', abort, { once: true, signal: end.signal });
      look();
    });
  } finally {
    engine.events.off('state', look);
    end.abort();
  }
}

/** A store that cannot be written to is measured for again the next time. */
async function remember(store: ModelStore, measured: z.infer<typeof measuredSchema>): Promise<void> {
  try {
    await fs.mkdir(store.home, { recursive: true, mode: 0o700 });
    await fs.writeFile(placeOf(store), JSON.stringify(measured), { mode: 0o600 });
  } catch {
    // The figure is good all the same.
  }
}

function ignore(): void {
  // Nobody listens.
}

function placeOf(store: ModelStore): string {
  return path.join(store.home, 'machine.json');
}

function processorName(): string {
  return `${os.cpus()[0]?.model ?? os.arch()} × ${String(os.availableParallelism())}`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
