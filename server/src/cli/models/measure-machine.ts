import { promises as fs } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { generateRequestSchema, HearthError, resolveGeneration } from '@hearth/protocol';
import * as z from 'zod';
import { LlamaEngine } from '../../engine/llama/llama-engine.js';
import type { ModelStore } from '../../models/store/model-store.js';
import { writeSyntheticModel } from '../../models/synthetic/synthetic-model.js';

/** A model of 60 MB: too large for the processor's caches, and written in no time. */
const shape = {
  width: 512,
  layers: 12,
  heads: 8,
  keyValueHeads: 4,
  feedForward: 1536,
  vocabulary: 24_000,
  contextLength: 512,
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

/** What was measured on this processor before; undefined: nothing. */
export async function readMeasurement(store: ModelStore): Promise<MeasuredMachine | undefined> {
  const text = await fs.readFile(placeOf(store), 'utf8').catch(() => '');
  const parsed = measuredSchema.safeParse(parseJson(text));
  return parsed.success && parsed.data.processor === processorName() ? parsed.data : undefined;
}

/**
 * Has the engine write with a made-up model of 60 MB for a few seconds, and remembers the result in the store.
 *
 * @throws HearthError where the engine cannot run here
 */
export async function measureMachine(store: ModelStore, signal: AbortSignal): Promise<MeasuredMachine> {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'hearth-measure-'));
  try {
    const file = path.join(folder, 'made-up.gguf');
    const sizeBytes = await writeSyntheticModel(file, shape);
    const tokensPerSecond = await timeModel(file, sizeBytes, signal);
    // The table of embeddings is looked up, not passed through.
    const passed = sizeBytes - (shape.vocabulary * shape.width * 34) / 32;
    const measured = {
      schema: 1,
      processor: processorName(),
      bytesPerSecond: tokensPerSecond * passed,
      measuredAt: new Date().toISOString(),
    } as const;
    await fs.mkdir(store.home, { recursive: true, mode: 0o700 });
    await fs.writeFile(placeOf(store), JSON.stringify(measured), { mode: 0o600 });
    return measured;
  } finally {
    await fs.rm(folder, { recursive: true, force: true });
  }
}

async function timeModel(file: string, sizeBytes: number, signal: AbortSignal): Promise<number> {
  const source = { id: 'made-up', displayName: 'made up', path: file, sizeBytes };
  const engine = new LlamaEngine({ source, sequences: 1, contextSize: 512 });
  try {
    engine.start();
    await new Promise<void>((resolve, reject) => {
      const look = (): void => {
        const { state } = engine;
        if (state.kind === 'ready') resolve();
        if (state.kind === 'failed') reject(new HearthError(state.code, state.reason));
      };
      engine.events.on('state', look);
      signal.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')), {
        once: true,
      });
    });
    const asked = { id: 'measure', prompt: 'a', max_tokens: tokens, temperature: 0, seed: 1 };
    const request = resolveGeneration(generateRequestSchema.parse(asked), 'measure');
    for (let round = 0; round < 2; round += 1) {
      for await (const chunk of engine.generate(request, signal)) if (chunk.kind === 'done') break;
    }
    if (engine.tokensPerSecond === undefined)
      throw new HearthError('internal', 'The engine wrote nothing to measure.');
    return engine.tokensPerSecond;
  } finally {
    await engine.stop();
  }
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
