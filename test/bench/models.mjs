import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
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

const hearth = fileURLToPath(new URL('../../server/bin/hearth.cjs', import.meta.url));

/**
 * Models of 30 to 250 MB such that weights, keys and values, work, and vocabulary each weigh most once.
 *
 * @type {readonly { readonly what: string, readonly model: string, readonly shape: object, readonly context: number,
 *   readonly sequences?: number, readonly type?: string }[]}
 */
const combinations = [
  ...[1024, 8192].map((context) => ({
    what: 'grouped heads 2:1',
    model: 'narrow',
    shape: shapeOf(512, 8, 4, 1536, 8000),
    context,
  })),
  ...[512, 2048].map((context) => ({
    what: 'grouped heads 2:1',
    model: 'middle',
    shape: shapeOf(768, 12, 6, 2304, 24_000),
    context,
  })),
  { what: '4 sequences', model: 'middle', shape: {}, context: 1024, sequences: 4 },
  { what: 'context in q8_0', model: 'narrow', shape: {}, context: 8192, type: 'q8_0' },
  { what: 'each head its own', model: 'large', shape: shapeOf(1280, 8, 20, 4096, 16_000), context: 1024 },
  { what: 'grouped heads 8:1', model: 'grouped', shape: shapeOf(1024, 4, 2, 3072, 16_000), context: 4096 },
  {
    what: 'large vocabulary, tied',
    model: 'words',
    shape: { ...shapeOf(384, 6, 2, 1024, 150_000), tied: true },
    context: 2048,
  },
  {
    what: 'gives vectors',
    model: 'vectors',
    shape: { ...shapeOf(512, 8, 8, 1536, 16_000), pooling: 1 },
    context: 2048,
  },
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
  say('| model | file | context | said | had | said/had |');
  say('|---|---|---|---|---|---|');
  const ratios = [];
  for (const { what, model, shape, context, sequences = 1, type = 'f16' } of combinations) {
    const file = path.join(place.root, `${model}.gguf`);
    if (!existsSync(file)) await write(file, shape);
    const flags = ['--context-size', context, '--active-permits', sequences, '--kv-type', type].map(String);
    const said = estimate(place, file, flags);
    const had = await measure(place, file, flags, { context, sequences, isEmbedder: 'pooling' in shape });
    ratios.push(said / had);
    const ratio = (said / had).toFixed(2);
    const length = sequences === 1 ? String(context) : `${String(sequences)} × ${String(context)}`;
    say(
      `| ${model}, ${what} | ${mb(statSync(file).size)} | ${length} | ${mb(said)} | ${mb(had)} | ${ratio} |`,
    );
  }
  const good = ratios.filter((ratio) => ratio >= 0.85 && ratio <= 1.15).length;
  say(`${good} of ${ratios.length} between 0.85 and 1.15\n`);
}

/** @param {Place} place @param {string} file @param {string[]} flags */
function estimate(place, file, flags) {
  const args = [hearth, 'models', 'fit', file, ...flags, '--json'];
  const { stdout, stderr } = spawnSync(process.execPath, args, { env: environment(place), encoding: 'utf8' });
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout).estimate.total;
}

/**
 * Resident memory of the worker, the largest that it had.
 *
 * @param {Place} place @param {string} file @param {string[]} flags
 * @param {{ context: number, sequences: number, isEmbedder: boolean }} use
 */
async function measure(place, file, flags, { context, sequences, isEmbedder }) {
  const child = await serve(place, ['--model', file, ...flags]);
  try {
    // Bytes are tokens in these models.
    const prompt = 'x'.repeat(Math.floor(context * 0.9));
    const asked = Array.from({ length: sequences }, async (_, index) => {
      const id = `fill${index}`;
      const end = await ask(
        place,
        isEmbedder
          ? { id, type: 'embed', input: [prompt] }
          : // Prompts with nothing in common share nothing.
            { id, prompt: `${index}${prompt}`, max_tokens: 4, temperature: 0 },
      );
      if (end.type === 'error') throw new Error(`a request failed: ${JSON.stringify(end)}`);
    });
    await Promise.all(asked);
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
  say('loads for patterns of requests, beside a pinned model');
  say('| pattern | room for | requests | loads | pinned unloaded | cut short | longest wait |');
  say('|---|---|---|---|---|---|---|');
  const all = Array.from({ length: 30 }, (_, index) => abc[index % 3] ?? 'a');
  const order = (/** @type {string[]} */ models, everyMs = 0) =>
    models.map((model, index) => ({ model, atMs: index * everyMs, prompt: 10, tokens: 8 }));
  await pattern(place, 'ABC × 10 at once', 1, order(all));
  await pattern(place, 'ABC × 10 at once', 3, order(all));
  await pattern(place, 'ABC × 10, one each 20 ms', 2, order(all, 20));
  const turns = order(
    all.map(() => 'a'),
    5,
  );
  const lengths = [100, 200, 400];
  await pattern(
    place,
    'A, contexts of 100, 200, 400 tokens in turns',
    1,
    turns.map((request, index) => ({ ...request, prompt: lengths[index % 3] ?? 10 })),
  );
  // B is asked for as soon as A is loaded, and long before A has ended.
  const long = { model: 'a', atMs: 0, prompt: 10, tokens: 900 };
  const meanwhile = order(Array(10).fill('b'), 20).map((request) => ({
    ...request,
    atMs: request.atMs + 100,
  }));
  await pattern(place, 'A writes 900 tokens, B × 10 meanwhile', 1, [long, ...meanwhile], 4);
}

/**
 * @param {Place} place @param {string} name @param {number} room
 * @param {{ model: string, atMs: number, prompt: number, tokens: number }[]} requests
 */
async function pattern(place, name, room, requests, permits = 1) {
  const many = ['--queue-depth', '64', '--active-permits', String(permits)];
  const child = await serve(place, [
    ...many,
    '--max-loaded-models',
    String(room + 1),
    '--model-stay-secs',
    '1',
  ]);
  try {
    let cut = 0;
    const waits = await Promise.all(
      requests.map(async ({ model, atMs, prompt, tokens }, index) => {
        await new Promise((resolve) => setTimeout(resolve, atMs));
        const since = performance.now();
        const end = await ask(place, {
          id: `r${index}`,
          model,
          prompt: 'x'.repeat(prompt),
          max_tokens: tokens,
        });
        if (end.type !== 'done' || end.stop_reason === 'cancelled') cut += 1;
        return performance.now() - since;
      }),
    );
    const [loads, gone] = [/"model_loaded".*"model":"[abc]"/, /"model_unloaded".*"model":"hearth-pilot/].map(
      (line) => countNew(place, line),
    );
    const longest = `${(Math.max(...waits) / 1000).toFixed(1)} s`;
    say(`| ${name} | ${room} | ${requests.length} | ${loads} | ${gone} | ${cut} | ${longest} |`);
  } finally {
    await end(child);
  }
}

/** @type {Map<RegExp | string, number>} Lines of the log from patterns before. */
const counted = new Map();

/** @param {Place} place @param {RegExp} line */
function countNew(place, line) {
  const log = readFileSync(path.join(place.root, 'log/hearth.ndjson'), 'utf8');
  const all = log.split('\n').filter((one) => line.test(one)).length;
  const before = counted.get(line.source) ?? 0;
  counted.set(line.source, all);
  return all - before;
}

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
 * @returns {Promise<{ type: string, stop_reason?: string }>}
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
        if (['done', 'error', 'embeddings'].includes(frame.type)) {
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
