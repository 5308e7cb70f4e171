import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { writeTinyGguf } from '../../models/testing/tiny-gguf.js';
import { bundleTestWorker, rawRequest } from './testing.js';
import type { TestWorker } from './testing.js';

/** A stand-in for the daemon: it forks a worker, keeps it busy, says its pid, and waits to be killed. */
const parent = `
import { fork } from 'node:child_process';
const [worker, model, request] = process.argv.slice(2);
const child = fork(worker, [], { serialization: 'advanced', stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
child.on('message', ({ kind }) => {
  if (kind === 'loaded') child.send({ kind: 'generate', id: 1, credit: 100000, request: JSON.parse(request) });
  if (kind === 'chunk') console.log(child.pid);
});
child.send({ kind: 'load', order: { path: model, sequences: 1, contextSize: 8192, threads: 1, longestTokenBytes: 0 } });
`;

// A worker starts in about half a second, on a busy machine in many.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let worker: TestWorker;
let folder: string;

beforeAll(async () => {
  worker = await bundleTestWorker();
  folder = await mkdtemp(path.join(os.tmpdir(), 'hearth-orphan-'));
});

afterAll(async () => {
  await worker.dispose();
  await rm(folder, { recursive: true, force: true });
});

test('row 121: kill -9 of the daemon leaves no worker behind, not even a busy one', async () => {
  const script = path.join(folder, 'parent.mjs');
  const model = path.join(folder, 'tiny.gguf');
  const request = JSON.stringify(rawRequest('x', { maxTokens: 100_000 }));
  await writeFile(script, parent);
  await writeTinyGguf(model, { contextLength: 8192 });
  const daemon = spawn(process.execPath, [script, worker.path, model, request], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const pid = await new Promise<number>((resolve, reject) => {
    createInterface({ input: daemon.stdout }).once('line', (line) => {
      resolve(Number(line));
    });
    daemon.once('exit', () => {
      reject(new Error('the parent ended too early'));
    });
  });
  expect(isAlive(pid)).toBe(true);
  daemon.kill('SIGKILL');
  // Another process's grandchild sends no event when it ends.
  await expect.poll(() => isAlive(pid), { timeout: 60_000, interval: 20 }).toBe(false);
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
