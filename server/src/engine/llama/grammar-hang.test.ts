import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { writeTinyGguf } from '../../models/testing/tiny-gguf.js';
import { LlamaEngine } from './llama-engine.js';
import { collect, grammarRequest, rawRequest, reaches } from './testing.js';

/**
 * A worker that is played: it loads at once, generates nothing, and says how long its step takes. Asked while it loads,
 * as it is where the machine is slow, it has no step.
 */
const playedWorker = (grammars: string): string => `
let stepMs = 0;
process.on('message', (message) => {
  if (message.kind === 'load')
    process.send({ kind: 'loaded', info: { contextSize: 64, infill: false, threads: 1, driver: 'addon' } });
  if (message.kind === 'generate') stepMs = 600000;
  if (message.kind === 'ping') process.send({ kind: 'pong', stepMs, grammars: '${grammars}' });
});
process.on('disconnect', () => process.exit());
`;

let folder: string;
let engine: LlamaEngine;

beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'hearth-hang-'));
});

afterEach(async () => {
  await engine.stop();
  await rm(folder, { recursive: true, force: true });
});

async function start(grammars: string): Promise<void> {
  const [file, workerPath] = [path.join(folder, 'tiny.gguf'), path.join(folder, 'worker.mjs')];
  await writeTinyGguf(file);
  await writeFile(workerPath, playedWorker(grammars));
  engine = new LlamaEngine({
    source: { id: 'tiny', displayName: 'tiny', path: file, sizeBytes: (await stat(file)).size },
    sequences: 1,
    workerPath,
    hangTimeoutMs: 1500,
    restart: { budget: 2, firstDelayMs: 1 },
    stopTimes: { politeMs: 1, termMs: 1000 },
  });
  engine.start();
  await reaches(engine, 'ready');
}

test('grammars that hang, however many, do not use up the restarts of the engine', async () => {
  await start('wanted');
  for (let time = 0; time < 4; time += 1) {
    const lost = collect(engine.generate(grammarRequest('x', 'root ::= "a"'), new AbortController().signal));
    await expect(lost).rejects.toMatchObject({ kind: 'hung' });
    expect(await reaches(engine, 'ready', 'failed')).toEqual({ kind: 'ready' });
  }
});

test('steps that hang by themselves do', async () => {
  await start('none');
  for (let time = 0; time < 3; time += 1) {
    const lost = collect(engine.generate(rawRequest('x'), new AbortController().signal));
    await expect(lost).rejects.toMatchObject({ kind: 'hung' });
    await reaches(engine, 'ready', 'failed');
  }
  expect(engine.state).toMatchObject({ kind: 'failed', code: 'engine_hung' });
});
