import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { shapes, writeBenchModel } from './bench-gguf.mjs';
import { draftRows } from './engine-drafts.mjs';
import { decodeHearth, decodeServer, firstTokenHearth, greedy, median, textOf } from './engine-asks.mjs';
import { gapRow, idleRow, perSequenceRow, restoreRow, turnsRow, waitingRows } from './engine-places.mjs';
import { askRpc, Client, connect, inPlace, isEnd, processorMs, residentMiB, within } from './processes.mjs';

/**
 * The engine under measurement, in real processes and through the NDJSON socket, beside node-llama-cpp by itself on the
 * same model, and beside llama-server where LLAMA_SERVER names one:
 *
 *   npm run bench -- engine [--full] [--json FILE] [--rounds N] [--model 135m|0.5b] [--parts NAME,NAME]
 *
 * Parts: decode, busy, processor, first, cancel, memory, crash; and, each with daemons of its own, turns, restore, gap,
 * sequences, waiting, drafts, idle. Without the flag: all of them.
 *
 * Models with random weights are written for it and deleted afterwards. The arms take turns within each round, so that
 * what else the machine does weighs on all of them; compare the ratios and not the figures.
 */

/** @typedef {{ name: string, values: Record<string, number | undefined>, unit: string, note?: string }} Row */

const contextSize = 2048;
const sequences = 8;
const placeParts = ['turns', 'restore', 'gap', 'sequences', 'waiting', 'drafts', 'idle'];
const sharedParts = ['decode', 'busy', 'processor', 'first', 'cancel', 'memory', 'crash'];
const partNames = [...sharedParts, ...placeParts];
const rawArm = fileURLToPath(new URL('./raw-arm.mjs', import.meta.url));

/** @param {string[]} args */
export async function engine(args) {
  const value = (/** @type {string} */ flag) =>
    args.includes(flag) ? args[args.indexOf(flag) + 1] : undefined;
  const full = args.includes('--full');
  const rounds = Number(value('--rounds') ?? (full ? 5 : 2));
  const only = value('--model');
  const parts = new Set(value('--parts')?.split(',') ?? partNames);
  const unknown = [...parts].find((part) => !partNames.includes(part));
  if (unknown !== undefined) throw new Error(`no part is called ${unknown}: ${partNames.join(', ')}`);
  const names = /** @type {(keyof typeof shapes)[]} */ (full ? ['135m', '0.5b'] : ['135m']);
  const machine = `${os.cpus().length} × ${os.cpus()[0]?.model ?? 'unknown'}, Node ${process.version}, load ${(os.loadavg()[0] ?? 0).toFixed(1)}`;
  process.stdout.write(`${machine}\n`);
  const folder = mkdtempSync(path.join(os.tmpdir(), 'hearth-bench-'));
  /** @type {Record<string, Row[]>} */
  const all = {};
  try {
    for (const name of only === undefined ? names : [/** @type {keyof typeof shapes} */ (only)]) {
      const file = path.join(folder, `${name}.gguf`);
      writeBenchModel(file, shapes[name]);
      process.stdout.write(
        `\n${name}, Q8_0, random weights, ${sequences} sequences of ${contextSize} tokens, ${rounds} rounds\n\n`,
      );
      all[name] = await measure(file, rounds, full ? 96 : 40, parts);
      rmSync(file);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const target = value('--json');
  if (target !== undefined) writeFileSync(target, `${JSON.stringify({ machine, all }, undefined, 2)}\n`);
}

/** @param {string} file @param {number} rounds @param {number} tokens @param {ReadonlySet<string>} parts */
async function measure(file, rounds, tokens, parts) {
  /** @type {Row[]} */
  const rows = [];
  const put = (/** @type {Row} */ row) => {
    rows.push(row);
    process.stdout.write(`${describe(row)}\n`);
  };
  if (parts.has('turns')) put(await turnsRow(file));
  if (parts.has('restore')) put(await restoreRow(file));
  if (parts.has('gap')) put(await gapRow(file));
  if (parts.has('sequences')) put(await perSequenceRow(file));
  if (parts.has('waiting')) for (const row of await waitingRows(file)) put(row);
  if (parts.has('idle')) put(await idleRow(file, Math.max(3, rounds)));
  if (parts.has('drafts')) for (const row of await draftRows(rounds)) put(row);
  if (!sharedParts.some((part) => parts.has(part))) return rows;
  await inPlace(async (place) => {
    const flags = ['--active-permits', String(sequences), '--context-size', String(contextSize)];
    const since = performance.now();
    const daemon = await place.serveModel(file, flags);
    const hearthLoad = performance.now() - since;
    const wide = Math.min(os.availableParallelism(), 8);
    const raws = await Promise.all([...new Set([1, wide])].map((threads) => startRaw(file, threads)));
    const server = await startServer(file);
    const health = await healthOf(place);
    const { model, workerPid = 0 } = health.backends[0];
    put({
      name: 'start to ready',
      values: { hearth: hearthLoad, raw: Math.min(...raws.map(({ loadMs }) => loadMs)) },
      unit: 'ms',
      note: `hearth with its daemon and its choices: ${model.threads} threads, prompts by ${model.batch}; driver ${model.driver}`,
    });
    try {
      for (const busy of [false, true]) {
        if (!parts.has(busy ? 'busy' : 'decode')) continue;
        const burner = busy ? spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }) : undefined;
        for (const clients of [1, 2, 4, 8]) {
          put(
            await decodeRow(
              place,
              raws,
              server,
              clients,
              rounds,
              busy ? Math.ceil(tokens / 2) : tokens,
              busy,
            ),
          );
        }
        burner?.kill('SIGKILL');
      }
      if (parts.has('processor')) put(await cpuRow(place, daemon.pid ?? 0, tokens));
      if (parts.has('first')) for (const row of await firstTokenRows(place, raws, server)) put(row);
      if (parts.has('cancel')) for (const row of await cancelRows(place)) put(row);
      if (parts.has('memory')) {
        put({
          name: 'memory of the worker',
          values: { hearth: residentMiB(workerPid) },
          unit: 'MiB',
          note: `${sequences} sequences; raw ${Math.round(residentMiB(raws[0]?.child.pid ?? 0))}`,
        });
      }
      if (parts.has('crash')) put(await crashRow(place, workerPid));
    } finally {
      for (const { child } of raws) child.kill('SIGKILL');
      server?.child.kill('SIGKILL');
    }
  });
  return rows;
}

/** @param {string} file @param {number} threads */
async function startRaw(file, threads) {
  const child = fork(rawArm, [file, String(sequences), String(contextSize), String(threads)], {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  const next = async () => {
    const [message] = await within(once(child, 'message'), 'an answer of node-llama-cpp');
    return message.value;
  };
  const loadMs = await next();
  return {
    child,
    threads,
    loadMs,
    ask: async (/** @type {object} */ question) => {
      child.send(question);
      return next();
    },
  };
}

/** llama-server with as many slots, where there is one. @param {string} file */
async function startServer(file) {
  const program = process.env['LLAMA_SERVER'];
  if (program === undefined) return undefined;
  const port = 18_000 + (process.pid % 1000);
  const slots = ['-np', String(sequences), '-c', String(sequences * contextSize)];
  const child = spawn(program, ['-m', file, '--port', String(port), ...slots], { stdio: 'ignore' });
  for (let tries = 0; tries < 100; tries += 1) {
    const answer = await fetch(`http://127.0.0.1:${port}/health`).catch(() => undefined);
    if (answer?.ok === true) return { child, port };
    await delay(200);
  }
  child.kill('SIGKILL');
  throw new Error('llama-server did not get ready');
}

/**
 * @param {import('./processes.mjs').Place} place
 * @param {Awaited<ReturnType<typeof startRaw>>[]} raws
 * @param {Awaited<ReturnType<typeof startServer>>} server
 * @param {number} clients @param {number} rounds @param {number} tokens @param {boolean} busy
 * @returns {Promise<Row>}
 */
async function decodeRow(place, raws, server, clients, rounds, tokens, busy) {
  /** @type {Record<string, number[]>} */
  const found = { hearth: [], together: [], free: [], server: [], whole: [] };
  for (let round = 0; round < rounds; round += 1) {
    found['hearth']?.push(await decodeHearth(place, clients, tokens));
    // Beside a busy core more than one thread takes minutes: node-llama-cpp is measured with one.
    for (const raw of busy ? raws.slice(0, 1) : raws) {
      found['together']?.push(await raw.ask({ kind: 'decode', clients, tokens, together: true }));
      if (clients > 1)
        found['free']?.push(await raw.ask({ kind: 'decode', clients, tokens, together: false }));
    }
    if (server === undefined) continue;
    found['server']?.push(await decodeServer(server.port, clients, tokens, true));
    found['whole']?.push(await decodeServer(server.port, clients, tokens, false));
  }
  const hearth = median(found['hearth'] ?? []);
  const together = best(found['together'] ?? [], rounds);
  const free = clients > 1 ? best(found['free'] ?? [], rounds) : undefined;
  const rival = server === undefined ? undefined : median(found['server'] ?? []);
  const whole = server === undefined ? undefined : median(found['whole'] ?? []);
  const against = (/** @type {string} */ name, /** @type {number | undefined} */ other) =>
    other === undefined ? [] : [`${(hearth / other).toFixed(2)} of ${name}`];
  return {
    name: `decode, ${clients} client${clients > 1 ? 's' : ''}${busy ? ', one core busy' : ''}`,
    values: {
      hearth,
      'raw together': together,
      'raw free-running': free,
      'llama-server': rival,
      'the same without a stream, by its own clock': whole,
    },
    unit: 'tok/s',
    note: [
      ...against('raw together', together),
      ...against('raw free-running', free),
      ...against('llama-server', rival),
      ...against('its own clock', whole),
    ].join(', '),
  };
}

/** The best arm's median: the values come as `rounds` turns of equally many arms. @param {number[]} values @param {number} rounds */
function best(values, rounds) {
  const arms = values.length / rounds;
  return Math.max(
    ...Array.from({ length: arms }, (_, arm) => median(values.filter((__, index) => index % arms === arm))),
  );
}

/** Processor time of the daemon itself a token. @param {import('./processes.mjs').Place} place @param {number} pid @param {number} tokens @returns {Promise<Row>} */
async function cpuRow(place, pid, tokens) {
  const before = processorMs(pid);
  const count = 4;
  for (let run = 0; run < count; run += 1) await decodeHearth(place, sequences, tokens);
  const used = processorMs(pid) - before;
  return {
    name: 'processor time of the daemon, 8 clients',
    values: { hearth: (used * 1000) / (count * sequences * tokens) },
    unit: 'µs/token',
    note: 'JavaScript, sockets and IPC; without the worker',
  };
}

/**
 * Milliseconds to an answer of one token, without and with what the slot has kept.
 *
 * @param {number} port @param {string} prompt @param {boolean} cached
 */
async function firstTokenServer(port, prompt, cached) {
  const since = performance.now();
  const answer = await fetch(`http://127.0.0.1:${port}/completion`, {
    method: 'POST',
    body: JSON.stringify({ prompt, n_predict: 1, temperature: 0, cache_prompt: cached, id_slot: 0 }),
  });
  await answer.json();
  return performance.now() - since;
}

/**
 * @param {import('./processes.mjs').Place} place
 * @param {Awaited<ReturnType<typeof startRaw>>[]} raws
 * @param {Awaited<ReturnType<typeof startServer>>} server
 * @returns {Promise<Row[]>}
 */
async function firstTokenRows(place, raws, server) {
  const prompt = textOf(3, 1000);
  const rival = server === undefined ? [] : [await firstTokenServer(server.port, `${prompt} one end`, false)];
  if (server !== undefined) rival.push(await firstTokenServer(server.port, `${prompt} another`, true));
  const cold = await firstTokenHearth(place, `${prompt} one end`);
  const cached = await firstTokenHearth(place, `${prompt} another`);
  const raw = await Promise.all(raws.slice(-1).map((one) => one.ask({ kind: 'first', prompt })));
  const [rawCold, rawCached] = raw[0] ?? [];
  // More conversations than sequences: each comes back after the others have taken its place.
  const others = Array.from({ length: sequences + 2 }, (_, index) => textOf(10 + index, 500));
  const colds = [];
  for (const other of others) colds.push(await firstTokenHearth(place, other));
  const restored = [];
  for (const other of others) restored.push(await firstTokenHearth(place, `${other}xy`));
  return [
    {
      name: 'first token, 1000 tokens, cold',
      values: { hearth: cold.ms, raw: rawCold, 'llama-server': rival[0] },
      unit: 'ms',
    },
    {
      name: 'first token, the same begin again',
      values: { hearth: cached.ms, raw: rawCached, 'llama-server': rival[1] },
      unit: 'ms',
      note: `reused ${cached.cached}; cold to cached ${(cold.ms / cached.ms).toFixed(1)}, raw ${(rawCold / rawCached).toFixed(1)}`,
    },
    {
      name: `first token, ${others.length} conversations on ${sequences} sequences`,
      values: { hearth: median(restored.map(({ ms }) => ms)) },
      unit: 'ms',
      note: `${(median(restored.map(({ ms }) => ms)) / median(colds.map(({ ms }) => ms))).toFixed(2)} of cold; reused at least ${Math.min(...restored.map(({ cached: one }) => one))} of 500`,
    },
  ];
}

/** @param {import('./processes.mjs').Place} place @returns {Promise<Row[]>} */
async function cancelRows(place) {
  /** @type {Record<'prefill' | 'decode', number[]>} */
  const times = { prefill: [], decode: [] };
  for (let round = 0; round < 8; round += 1) {
    for (const stage of /** @type {const} */ (['prefill', 'decode'])) {
      const client = await Client.open(place.inference);
      const prompt = `${round} ${'q7'.repeat(800)}`;
      const first = client.next(({ type }) => type === (stage === 'prefill' ? 'prefill' : 'token'));
      client.send({ ...greedy('c', stage === 'prefill' ? prompt : `${round}`, 500), events: true });
      await first;
      if (stage === 'prefill') await delay(60 + 20 * round);
      const over = client.next((frame) => frame.id === 'c' && isEnd(frame));
      const since = performance.now();
      client.send({ type: 'cancel', target: 'c' });
      await over;
      times[stage].push(performance.now() - since);
      client.close();
    }
  }
  return Object.entries(times).map(([stage, values]) => ({
    name: `cancel in ${stage} → ended, its sequence free`,
    values: { hearth: median(values) },
    unit: 'ms',
    note: `worst of ${values.length}: ${Math.max(...values).toFixed(1)}`,
  }));
}

/** @param {import('./processes.mjs').Place} place @param {number} workerPid @returns {Promise<Row>} */
async function crashRow(place, workerPid) {
  const since = performance.now();
  process.kill(workerPid, 'SIGKILL');
  for (;;) {
    const client = await Client.open(place.inference);
    const over = client.next(isEnd);
    client.send(greedy('again', 'hello', 1));
    const { type } = await over;
    client.close();
    if (type === 'done') break;
    await delay(10);
  }
  return {
    name: 'kill -9 of the worker → next success',
    values: { hearth: performance.now() - since },
    unit: 'ms',
    note: 'with 500 ms of backoff and the load of the model',
  };
}

/** @param {import('./processes.mjs').Place} place */
async function healthOf(place) {
  const socket = await connect(place.rpc);
  const health = await askRpc({ input: socket, output: socket }, 'hearth/health');
  socket.destroy();
  return health;
}

/** @param {Row} row */
function describe({ name, values, unit, note }) {
  const shown = Object.entries(values)
    .flatMap(([arm, value]) => (value === undefined ? [] : [`${arm} ${value.toFixed(value < 10 ? 1 : 0)}`]))
    .join(' · ');
  return `${name.padEnd(56)} ${shown} ${unit}${note === undefined || note === '' ? '' : ` (${note})`}`;
}
