import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { firstTokenHearth, greedy, median, textOf } from './engine-asks.mjs';
import { askRpc, Client, connect, inPlace, isEnd, residentMiB, within } from './processes.mjs';

/** What of the engine bench needs daemons of its own: few sequences, states on disk, a model in the store. */

/** @typedef {import('./engine.mjs').Row} Row */

const contextSize = 2048;

/** @param {number} permits @param {number} tokens Of context, for each. */
function flagsFor(permits, tokens = contextSize) {
  return ['--active-permits', String(permits), '--context-size', String(tokens)];
}

/**
 * Four conversations in turn on two sequences, all with the same 1000 tokens before what is their own.
 *
 * @param {string} file @returns {Promise<Row>}
 */
export function turnsRow(file) {
  return inPlace(async (place) => {
    await place.serveModel(file, flagsFor(2));
    const shared = textOf(5, 1000);
    const own = Array.from({ length: 4 }, (_, index) => `${shared}${textOf(20 + index, 200)}`);
    const first = await firstTokenHearth(place, own[0] ?? '');
    for (const one of own.slice(1)) await firstTokenHearth(place, one);
    const later = [];
    for (const end of ['xy', 'xyzw']) {
      for (const one of own) later.push(await firstTokenHearth(place, `${one}${end}`));
    }
    const ms = median(later.map((one) => one.ms));
    return {
      name: 'first token, 4 conversations in turn on 2 sequences',
      values: { hearth: ms },
      unit: 'ms',
      note: `${(ms / first.ms).toFixed(2)} of cold (${first.ms.toFixed(0)} ms); reused at least ${Math.min(...later.map(({ cached }) => cached))} of 1200`,
    };
  });
}

/**
 * A prompt whose state is on disk, after a restart of the daemon.
 *
 * @param {string} file @returns {Promise<Row>}
 */
export function restoreRow(file) {
  return inPlace(async (place) => {
    mkdirSync(path.join(place.root, '.hearth'), { recursive: true, mode: 0o700 });
    writeFileSync(path.join(place.root, '.hearth/config.json'), JSON.stringify({ kv_disk: true }));
    const prompt = textOf(7, 1500);
    const daemon = await place.serveModel(file, flagsFor(2));
    const cold = await firstTokenHearth(place, `${prompt} one end`);
    const exit = once(daemon, 'exit');
    daemon.kill('SIGTERM');
    await within(exit, 'the end of the daemon');
    await place.serveModel(file, flagsFor(2));
    const restored = await firstTokenHearth(place, `${prompt} another`);
    return {
      name: 'first token, 1500 tokens, state from disk after a restart',
      values: { hearth: restored.ms, cold: cold.ms },
      unit: 'ms',
      note: `${(restored.ms / cold.ms).toFixed(3)} of cold; reused ${restored.cached}`,
    };
  });
}

/**
 * The gaps between the tokens of a stream while a prompt of 8000 is evaluated beside it, for half a minute, and without:
 * before and after it, since a stream's own steps get longer with its context.
 *
 * @param {string} file @returns {Promise<Row>}
 */
export function gapRow(file) {
  const [prompt, alone, besideMs] = [8000, 100, 30_000];
  return inPlace(async (place) => {
    await place.serveModel(file, flagsFor(2, 10_240));
    /** @type {number[]} */
    const times = [];
    let evaluated = 0;
    const client = await Client.open(place.inference, ({ type, id, progress }) => {
      if (type === 'token' && id === 'stream') times.push(performance.now());
      if (type === 'prefill' && id === 'long') evaluated = Math.round(progress * prompt);
    });
    const streams = async (/** @type {number} */ tokens) => {
      let count = 0;
      await client.next(({ type, id }) => type === 'token' && id === 'stream' && (count += 1) === tokens);
    };
    const began = streams(alone);
    client.send(greedy('stream', 'a stream that runs', 10_000));
    await began;
    const begin = times.length;
    const over = client.next((frame) => frame.id === 'long' && isEnd(frame));
    client.send({ ...greedy('long', textOf(9, prompt), 1), events: true });
    const isLate = await Promise.race([over.then(() => false), delay(besideMs, true)]);
    const end = times.length;
    if (isLate) client.send({ type: 'cancel', target: 'long' });
    await over;
    await streams(alone);
    await cancel(client, 'stream');
    client.close();
    const gaps = times.slice(1).map((at, index) => at - (times[index] ?? at));
    const beside = gaps.slice(begin - 1, end - 1);
    const calm = (median(gaps.slice(0, begin - 1)) + median(gaps.slice(-alone / 2))) / 2;
    return {
      name: `gap between tokens while a prompt of ${prompt} is evaluated`,
      values: { hearth: median(beside) },
      unit: 'ms',
      note: `${(median(beside) / calm).toFixed(2)} of the gap without it (${calm.toFixed(1)} ms), over ${beside.length} tokens; longest ${Math.max(...beside).toFixed(0)} ms; ${evaluated} of the prompt evaluated meanwhile`,
    };
  });
}

/**
 * One stream where four other sequences keep 1500 tokens each of earlier requests, beside one where they are empty.
 *
 * @param {string} file @param {number} rounds @returns {Promise<Row>}
 */
export function idleRow(file, rounds) {
  return inPlace(async (full) => {
    await full.serveModel(file, flagsFor(5));
    for (let index = 0; index < 4; index += 1) await firstTokenHearth(full, textOf(40 + index, 1500));
    return inPlace(async (empty) => {
      await empty.serveModel(file, flagsFor(5));
      /** @type {[number, number][]} */
      const rates = [];
      for (let round = 0; round < rounds; round += 1) rates.push([await rateOf(full), await rateOf(empty)]);
      const [kept, fresh] = [median(rates.map(([one]) => one)), median(rates.map(([, one]) => one))];
      return {
        name: 'decode, 1 client, four other sequences keep 1500 tokens',
        values: { hearth: kept, 'with none kept': fresh },
        unit: 'tok/s',
        note: `${(kept / fresh).toFixed(2)} of it`,
      };
    });
  });
}

/** Tokens a second of one stream, from the first on. @param {import('./processes.mjs').Place} place */
async function rateOf(place) {
  const tokens = 64;
  let since = 0;
  const client = await Client.open(place.inference, ({ type }) => {
    if (type === 'token' && since === 0) since = performance.now();
  });
  const over = client.next(isEnd);
  client.send(greedy('rate', 'a prompt of a few words', tokens));
  await over;
  client.close();
  return ((tokens - 1) * 1000) / (performance.now() - since);
}

/** @param {string} file @returns {Promise<Row>} */
export async function perSequenceRow(file) {
  const used = async (/** @type {number} */ permits) =>
    inPlace(async (place) => {
      await place.serveModel(file, flagsFor(permits));
      await firstTokenHearth(place, 'hello');
      return residentMiB(await workerOf(place));
    });
  const [one, nine] = [await used(1), await used(9)];
  return {
    name: `memory of a sequence of ${contextSize} tokens`,
    values: { hearth: (nine - one) / 8 },
    unit: 'MiB',
    note: `the worker has ${one.toFixed(0)} MiB with one, ${nine.toFixed(0)} with nine`,
  };
}

/**
 * Cancels of requests that wait: for a permit, and for a model that is being loaded.
 *
 * @param {string} file @returns {Promise<Row[]>}
 */
export function waitingRows(file) {
  return inPlace(async (place) => {
    keepInStore(place.root, 'other', file);
    await place.serveModel(file, flagsFor(1));
    const queued = [];
    const loading = [];
    for (let round = 0; round < 5; round += 1) {
      const client = await Client.open(place.inference);
      const running = client.next(({ type }) => type === 'token');
      client.send(greedy('running', `${round} hello`, 400));
      await running;
      const waits = client.next(({ type, id }) => id === 'waits' && type === 'accepted');
      client.send({ ...greedy('waits', 'hello', 4), events: true });
      await waits;
      queued.push(await cancel(client, 'waits'));
      await cancel(client, 'running');
      client.close();
    }
    const client = await Client.open(place.inference);
    const loads = client.next(({ type, id }) => id === 'loads' && type === 'loading');
    client.send({ ...greedy('loads', 'hello', 4), model: 'other', events: true });
    await loads;
    loading.push(await cancel(client, 'loads'));
    client.close();
    return [
      waitingRow('for a permit', queued),
      { ...waitingRow('for a model that is loaded', loading), note: 'once: the load goes on for the next' },
    ];
  });
}

/** @param {string} what @param {number[]} times @returns {Row} */
function waitingRow(what, times) {
  return {
    name: `cancel while it waits ${what} → ended`,
    values: { hearth: median(times) },
    unit: 'ms',
    note: `worst of ${times.length}: ${Math.max(...times).toFixed(1)}`,
  };
}

/** @param {Client} client @param {string} id */
async function cancel(client, id) {
  const over = client.next((frame) => frame.id === id && isEnd(frame));
  const since = performance.now();
  client.send({ type: 'cancel', target: id });
  await over;
  return performance.now() - since;
}

/** @param {import('./processes.mjs').Place} place @returns {Promise<number>} */
async function workerOf(place) {
  const socket = await connect(place.rpc);
  const health = await askRpc({ input: socket, output: socket }, 'hearth/health');
  socket.destroy();
  return health.backends[0].workerPid;
}

/** Puts a file into the store of a home, where it lies. @param {string} home @param {string} name @param {string} file */
function keepInStore(home, name, file) {
  const folder = path.join(home, '.hearth/models/manifests');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const manifest = {
    schema: 1,
    name,
    displayName: name,
    file: {
      kind: 'external',
      path: file,
      sha256: createHash('sha256').update(readFileSync(file)).digest('hex'),
    },
    sizeBytes: statSync(file).size,
    source: { kind: 'import', from: 'file' },
    purpose: 'generate',
    chatTemplate: false,
    infill: false,
    addedAt: new Date(0).toISOString(),
  };
  writeFileSync(path.join(folder, `${name}.json`), JSON.stringify(manifest));
}
