import { mkdtemp, rm, stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Sampling } from '@hearth/protocol';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { writeTinyGguf } from '../../models/testing/tiny-gguf.js';
import type { EngineChunk } from '../engine.js';
import { LlamaEngine } from './llama-engine.js';
import { bundleTestWorker, collect, rawRequest, reaches, type TestWorker } from './testing.js';

/** Recovery, with real workers that are really killed. */

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const never = new AbortController().signal;
let worker: TestWorker;
let folder: string;
let engine: LlamaEngine;

beforeAll(async () => {
  worker = await bundleTestWorker();
  folder = await mkdtemp(path.join(os.tmpdir(), 'hearth-resume-'));
});

afterEach(() => engine.stop());

afterAll(async () => {
  await worker.dispose();
  await rm(folder, { recursive: true, force: true });
});

async function start(): Promise<void> {
  const file = path.join(folder, 'tiny.gguf');
  await writeTinyGguf(file);
  const { size } = await stat(file);
  engine = new LlamaEngine({
    source: { id: 'tiny', displayName: 'tiny', path: file, sizeBytes: size },
    sequences: 2,
    workerPath: worker.path,
    restart: { firstDelayMs: 1 },
  });
  engine.start();
  await reaches(engine, 'ready');
}

describe('resume: true and a worker that is killed in mid-stream', () => {
  const cases: readonly (readonly [string, Partial<Sampling>])[] = [
    ['greedy', { maxTokens: 60 }],
    ['seeded', { maxTokens: 60, temperature: 1.2, topK: 40, topP: 0.9, seed: 7 }],
    ['seeded by ourselves', { maxTokens: 60, temperature: 1 }],
  ];

  test.each(cases)('%s: the whole text is that of an undisturbed run', async (name, sampling) => {
    await start();
    const request = { ...rawRequest('once upon a time', sampling), resume: true };
    const chunks: EngineChunk[] = [];
    let killed = 0;
    for await (const chunk of engine.generate(request, never)) {
      chunks.push(chunk);
      // The worker is at most eight chunks ahead of its reader, so it has not ended yet.
      if (chunks.length === 10) {
        killed = engine.workerPid ?? 0;
        process.kill(killed, 'SIGKILL');
      }
    }
    expect(engine.workerPid).not.toBe(killed);
    const texts = chunks.flatMap((chunk) => (chunk.kind === 'token' ? [chunk.text] : []));
    expect(chunks.filter(({ kind }) => kind === 'resumed')).toHaveLength(1);
    expect(chunks.at(-1)).toMatchObject({ kind: 'done', usage: { completion_tokens: 60 } });
    if (name.startsWith('seeded by')) {
      expect(texts.join('').length).toBeGreaterThan(30);
      return;
    }
    const undisturbed = await collect(engine.generate(request, never));
    expect(texts.join('')).toBe(undisturbed.text);
  });

  test('row 21: without it, the stream ends with an error, as ever', async () => {
    await start();
    const chunks = engine.generate(rawRequest('once upon a time', { maxTokens: 60 }), never);
    await chunks.next();
    process.kill(engine.workerPid ?? 0, 'SIGKILL');
    const rest = (async () => {
      for await (const chunk of chunks) if (chunk.kind === 'resumed') throw new Error('it went on');
    })();
    await expect(rest).rejects.toMatchObject({ kind: 'crashed' });
  });

  test('a stream that is cancelled while it waits for the next worker ends as cancelled', async () => {
    await start();
    const cancel = new AbortController();
    const request = { ...rawRequest('once upon a time', { maxTokens: 60 }), resume: true };
    const chunks = engine.generate(request, cancel.signal);
    await chunks.next();
    engine.events.once('state', () => {
      cancel.abort();
    });
    process.kill(engine.workerPid ?? 0, 'SIGKILL');
    const kinds: string[] = [];
    for await (const chunk of chunks) kinds.push(chunk.kind === 'done' ? chunk.stopReason : chunk.kind);
    expect(kinds.at(-1)).toBe('cancelled');
    expect(kinds).not.toContain('resumed');
  });
});
