import { promises as fs } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { MockEngine } from '../../engine/mock/mock-engine.js';
import type { MockOptions } from '../../engine/mock/mock-engine.js';
import type { ModelSource } from '../model-source.js';
import { ModelStore } from '../store/model-store.js';
import { measureMachine, type MeasuringStep, readMeasurement } from './measure-machine.js';

let root: string;
let store: ModelStore;
beforeEach(async () => {
  root = await fs.mkdtemp(path.join(os.tmpdir(), 'hearth-machine-'));
  store = new ModelStore(path.join(root, 'models'));
});
afterEach(async () => {
  await fs.rm(root, { recursive: true, force: true });
});

/** Makes an engine that says it writes a hundred tokens a second, and keeps what it was made for. */
function engineOf(options: Partial<MockOptions> = {}) {
  const engine = new MockEngine(options);
  Object.defineProperty(engine, 'tokensPerSecond', { value: 100 });
  const stop = vi.spyOn(engine, 'stop');
  const made = vi.fn((_source: ModelSource, _contextSize: number) => engine);
  return { engine, stop, made };
}

const isThere = (file: string): Promise<boolean> =>
  fs.access(file).then(
    () => true,
    () => false,
  );

test('a made-up model is written, loaded and timed; what came of it is remembered, and nothing else is left', async () => {
  const { engine, stop, made } = engineOf();
  const steps: MeasuringStep[] = [];
  const onStep = (step: MeasuringStep): void => void steps.push(step);
  expect(await readMeasurement(store)).toBeUndefined();
  const measured = await measureMachine({ store, makeEngine: made, onStep }, new AbortController().signal);
  expect(steps).toEqual(['prepare', 'load', 'time']);
  expect(engine.generateCalls).toBe(2);
  const [source] = made.mock.lastCall ?? [];
  // A hundred times a second through all of it but the table of embeddings.
  expect(measured.bytesPerSecond).toBeGreaterThan(50 * (source?.sizeBytes ?? NaN));
  expect(measured.bytesPerSecond).toBeLessThan(100 * (source?.sizeBytes ?? NaN));
  expect(await readMeasurement(store)).toMatchObject({ bytesPerSecond: measured.bytesPerSecond });
  expect(stop).toHaveBeenCalledOnce();
  expect(await isThere(source?.path ?? '/')).toBe(false);
});

test('what was measured beside other work is told and not remembered', async () => {
  const { made } = engineOf();
  const { signal } = new AbortController();
  const measured = await measureMachine({ store, makeEngine: made, isQuiet: () => false }, signal);
  expect(measured.bytesPerSecond).toBeGreaterThan(0);
  expect(await readMeasurement(store)).toBeUndefined();
});

test('a store that cannot be written to keeps nobody from the figure', async () => {
  await fs.writeFile(path.join(root, 'models'), 'a file in its place');
  const { made } = engineOf();
  const measured = await measureMachine({ store, makeEngine: made }, new AbortController().signal);
  expect(measured.bytesPerSecond).toBeGreaterThan(0);
});

test.each(['load', 'time'] as const)('who leaves during “%s” leaves no engine and no file', async (when) => {
  const { stop, made } = engineOf(when === 'load' ? { readyAfterMs: -1 } : { tokenDelayMs: 60_000 });
  const leave = new AbortController();
  const onStep = (step: MeasuringStep): void => {
    if (step === when) setImmediate(() => leave.abort());
  };
  const measuring = measureMachine({ store, makeEngine: made, onStep }, leave.signal);
  await expect(measuring).rejects.toMatchObject({ name: 'AbortError' });
  expect(stop).toHaveBeenCalledOnce();
  expect(await isThere(made.mock.lastCall?.[0].path ?? '/')).toBe(false);
  expect(await readMeasurement(store)).toBeUndefined();
});
