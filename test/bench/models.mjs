import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { Place } from './processes.mjs';

/**
 * `npm run bench -- models`: what a model takes in memory against what was said before it was loaded, and how many
 * loads patterns of requests for several models cost. Real daemons, real workers, made-up models that are removed.
 */

const hearth = fileURLToPath(new URL('../../server/bin/hearth.mjs', import.meta.url));

/** Models of 15 to 300 MB with contexts such that weights, keys and values, and vocabulary each weigh most once. */
const combinations = [
  { name: 'narrow', shape: shapeOf(512, 8, 4, 1536, 8000), contexts: [1024, 8192] },
  { name: 'middle', shape: shapeOf(768, 12, 6, 2304, 24_000), contexts: [512, 2048, 4096] },
  { name: 'large', shape: shapeOf(1280, 16, 10, 4096, 32_000), contexts: [512, 2048] },
];

/**
 * @param {number} width @param {number} layers @param {number} keyValueHeads @param {number} feedForward
 * @param {number} vocabulary
 */
function shapeOf(width, layers, keyValueHeads, feedForward, vocabulary) {
  return { width, layers, heads: width / 64, keyValueHeads, feedForward, vocabulary, contextLength: 32_768 };
}

/** @param {string[]} _args */
export async function models(_args) {
  const place = new Place();
  try {
    const writer = await loadWriter(place.root);
    await compareMemory(place, writer);
    await countLoads(place, writer);
  } finally {
    await place.remove();
  }
}

/**
 * The writer of made-up models, which is not a part of what is built.
 *
 * @param {string} folder
 * @returns {Promise<(file: string, shape: object) => Promise<number>>}
 */
async function loadWriter(folder) {
  const outfile = path.join(folder, 'writer.mjs');
  const entry = fileURLToPath(
    new URL('../../server/src/models/synthetic/synthetic-model.ts', import.meta.url),
  );
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'silent',
  });
  return (await import(outfile)).writeSyntheticModel;
}

/** @param {Place} place @param {(file: string, shape: object) => Promise<number>} write */
async function compareMemory(place, write) {
  say('memory: said before the load / what the worker had once its whole context had been in use');
  say('| model | file | context | said | had | ratio |');
  say('|---|---|---|---|---|---|');
  const ratios = [];
  for (const { name, shape, contexts } of combinations) {
    const file = path.join(place.root, `${name}.gguf`);
    await write(file, shape);
    for (const context of contexts) {
      const said = estimate(place, file, context);
      const had = await measure(place, file, context);
      ratios.push(said / had);
      const ratio = (said / had).toFixed(2);
      say(`| ${name} | ${mb(statSync(file).size)} | ${context} | ${mb(said)} | ${mb(had)} | ${ratio} |`);
    }
  }
  const good = ratios.filter((ratio) => ratio >= 0.85 && ratio <= 1.15).length;
  say(`${good} of ${ratios.length} between 0.85 and 1.15\n`);
}

/** @param {Place} place @param {string} file @param {number} context */
function estimate(place, file, context) {
  const args = [hearth, 'models', 'fit', file, '--context-size', String(context), '--json'];
  const { stdout } = spawnSync(process.execPath, args, { env: environment(place), encoding: 'utf8' });
  return JSON.parse(stdout).estimate.total;
}

/**
 * Resident memory of the worker, the largest that it had.
 *
 * @param {Place} place @param {string} file @param {number} context
 */
async function measure(place, file, context) {
  const child = await serve(place, ['--model', file, '--context-size', String(context)]);
  try {
    // Bytes are tokens in these models.
    await ask(place, {
      id: 'fill',
      prompt: 'x'.repeat(Math.floor(context * 0.9)),
      max_tokens: 4,
      temperature: 0,
    });
    const worker = childrenOf(child.pid ?? 0)[0];
    const status = readFileSync(`/proc/${worker}/status`, 'utf8');
    return Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1]) * 1024;
  } finally {
    await end(child);
  }
}

/** @param {Place} place @param {(file: string, shape: object) => Promise<number>} write */
async function countLoads(place, write) {
  const home = path.join(place.root, '.hearth/models');
  mkdirSync(path.join(home, 'manifests'), { recursive: true, mode: 0o700 });
  for (const name of ['a', 'b', 'c']) {
    const file = path.join(place.root, `${name}.gguf`);
    await write(file, { ...shapeOf(128, 2, 2, 256, 1000 + name.charCodeAt(0)), contextLength: 1024 });
    const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex');
    const manifest = {
      schema: 1,
      name,
      displayName: name,
      file: { kind: 'external', path: file, sha256 },
      sizeBytes: statSync(file).size,
      source: { kind: 'import', from: 'file' },
      purpose: 'generate',
      chatTemplate: false,
      infill: false,
      addedAt: new Date(0).toISOString(),
    };
    writeFileSync(path.join(home, 'manifests', `${name}.json`), JSON.stringify(manifest));
  }
  const abc = ['a', 'b', 'c'];
  say('loads for patterns of requests');
  say('| pattern | room for | requests | loads | longest wait |');
  say('|---|---|---|---|---|');
  const all = Array.from({ length: 30 }, (_, index) => abc[index % 3] ?? 'a');
  await pattern(place, 'ABC × 10 at once', 1, all, 0);
  await pattern(place, 'ABC × 10 at once', 3, all, 0);
  await pattern(place, 'ABC × 10, one each 20 ms', 2, all, 20);
  await pattern(
    place,
    'A, contexts of 100, 200, 400 tokens in turns',
    1,
    all.map(() => 'a'),
    5,
    [100, 200, 400],
  );
}

/**
 * @param {Place} place @param {string} name @param {number} room @param {string[]} order @param {number} everyMs
 * @param {number[]} lengths of prompts, in turns
 */
async function pattern(place, name, room, order, everyMs, lengths = [10]) {
  const flags = ['--queue-depth', '64', '--max-loaded-models', String(room + 1), '--model-stay-secs', '1'];
  const child = await serve(place, flags);
  try {
    const waits = await Promise.all(
      order.map(async (model, index) => {
        await new Promise((resolve) => setTimeout(resolve, index * everyMs));
        const since = performance.now();
        const prompt = 'x'.repeat(lengths[index % lengths.length] ?? 10);
        const end = await ask(place, { id: `r${index}`, model, prompt, max_tokens: 8 });
        if (end.type !== 'done') throw new Error(`a request failed: ${JSON.stringify(end)}`);
        return performance.now() - since;
      }),
    );
    const log = readFileSync(path.join(place.root, 'log/hearth.ndjson'), 'utf8');
    const mine = log.split('\n').filter((line) => /"model_loaded".*"model":"[abc]"/.test(line));
    const loads = mine.length - loadsBefore;
    loadsBefore = mine.length;
    say(`| ${name} | ${room} | ${order.length} | ${loads} | ${(Math.max(...waits) / 1000).toFixed(1)} s |`);
  } finally {
    await end(child);
  }
}

/** Loads in the log from patterns before. */
let loadsBefore = 0;

/**
 * A daemon with the real engine, once it serves.
 *
 * @param {Place} place @param {string[]} flags
 */
async function serve(place, flags) {
  const where = ['--runtime-dir', place.run, '--log-dir', path.join(place.root, 'log')];
  const child = spawn(process.execPath, [hearth, 'serve', ...where, ...flags], {
    env: environment(place),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  place.children.add(child);
  child.once('exit', () => place.children.delete(child));
  await new Promise((resolve, reject) => {
    let said = '';
    child.stdout.on('data', (chunk) => {
      said += String(chunk);
      if (said.includes('ready')) resolve(undefined);
    });
    child.once('exit', () => reject(new Error('the daemon ended before it was ready')));
  });
  return child;
}

/** @param {import('node:child_process').ChildProcess} child */
async function end(child) {
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  await gone;
}

/** @param {Place} place */
function environment(place) {
  return { PATH: process.env['PATH'] ?? '', HOME: place.root };
}

/**
 * One request, and its last frame.
 *
 * @param {Place} place @param {object} request
 * @returns {Promise<{ type: string }>}
 */
function ask(place, request) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(place.inference);
    let text = '';
    socket.on('error', reject);
    socket.on('data', (chunk) => {
      text += String(chunk);
      for (const line of text.split('\n').slice(0, -1)) {
        const frame = JSON.parse(line);
        if (frame.type === 'done' || frame.type === 'error') {
          socket.destroy();
          resolve(frame);
        }
      }
    });
    socket.write(`${JSON.stringify(request)}\n`);
  });
}

/** @param {number} pid */
function childrenOf(pid) {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
}

/** @param {number} bytes */
function mb(bytes) {
  return `${Math.round(bytes / 1e6)} MB`;
}

/** @param {string} line */
function say(line) {
  process.stdout.write(`${line}\n`);
}

if (os.platform() !== 'linux') say('memory is read from /proc: this runs on Linux');
