import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client, inPlace, isEnd, processorMs, residentMiB, within } from './processes.mjs';

/**
 * What it costs to go through Hearth rather than straight to a service:
 *
 *   npm run bench -- gateway [--rounds N] [--peer] [--json FILE]
 *
 * Arms: `direct` to the service, `hearth http` by the gateway and `hearth ndjson` by the socket, each to a daemon that has
 * the same service as its backend, `bare proxy` by a Node process that only passes bytes on, which is the least that any
 * gateway in Node adds here, and with `--peer` a gateway for Node from npm, which is fetched for it. Arms take turns
 * within each round, over connections that stay open. The peer takes part in what is not streamed: its streams fail on
 * Node 20 (`TypeError: immutable`, from changing the headers of a fetched response). Every arm is printed, those that win and those that lose.
 */

const peer = { name: '@portkey-ai/gateway', version: '1.15.2' };
const tokensOfStream = 64;
const tokensOfFlood = 2000;

/**
 * One way to the service. `ask` resolves when the whole answer is there, with the time to its first text.
 *
 * @typedef {{ name: string, pid: number, streams: boolean, ask: (request: { model: string, tokens: number, stream: boolean }) => Promise<number>, close: () => void }} Arm
 */

/** @param {string[]} args */
export async function gateway(args) {
  const value = (/** @type {string} */ flag) =>
    args.includes(flag) ? args[args.indexOf(flag) + 1] : undefined;
  const rounds = Number(value('--rounds') ?? 7);
  const cpus = os.cpus();
  const machine = `${cpus.length} × ${cpus[0]?.model ?? 'unknown'}, ${os.type()} ${os.release()}, Node ${process.version}, load ${(os.loadavg()[0] ?? 0).toFixed(1)}`;
  process.stdout.write(`${machine}\n${rounds} rounds, arms in turns\n\n`);
  const lines = await withArms(args.includes('--peer'), async (arms) => [
    ...(await latency(arms, rounds)),
    ...(await flood(arms, rounds)),
    ...(await throughput(arms)),
    ...arms.map(({ name, pid }) =>
      said({ name: `${name}: memory afterwards`, value: residentMiB(pid), unit: 'MiB' }),
    ),
  ]);
  const file = value('--json');
  if (file !== undefined)
    writeFileSync(file, `${JSON.stringify({ machine, rounds, lines }, undefined, 2)}\n`);
}

/** The part of it that says what the daemon adds by its own protocol, for `bench -- core` (row 176). @param {number} rounds */
export async function overhead(rounds) {
  return withArms(false, async (arms) => {
    const two = arms.filter(({ name }) => name === 'direct' || name === 'hearth ndjson');
    return [...(await latency(two, rounds)), ...(await flood(two, rounds))];
  });
}

/** @typedef {{ name: string, n?: number, value?: number, p50?: number, p99?: number, unit: string }} Line */

/** Whole answers of one token, and the time to the first of a stream. @param {Arm[]} arms @param {number} rounds */
async function latency(arms, rounds) {
  /** @type {Line[]} */
  const lines = [];
  const kinds = [
    { what: 'whole answer', request: { model: 'fast', tokens: 1, stream: false }, count: 150 },
    { what: 'first token', request: { model: 'steady', tokens: tokensOfStream, stream: true }, count: 5 },
  ];
  for (const { what, request, count } of kinds) {
    const able = arms.filter(({ streams }) => streams || !request.stream);
    const times = await inTurns(able, rounds, async (arm) => {
      const samples = [];
      for (let index = 0; index < count; index += 1) {
        const since = performance.now();
        const first = await arm.ask(request);
        samples.push(request.stream ? first : performance.now() - since);
      }
      return samples;
    });
    lines.push(...compared(what, able, times, 'ms', 1));
  }
  return lines;
}

/** A long answer without pauses: what each token adds in time, and costs in processor time. @param {Arm[]} all @param {number} rounds */
async function flood(all, rounds) {
  const arms = all.filter(({ streams }) => streams);
  const request = { model: 'fast', tokens: tokensOfFlood, stream: true };
  const used = new Map(arms.map(({ name, pid }) => [name, -processorMs(pid)]));
  const times = await inTurns(arms, rounds, async (arm) => {
    const since = performance.now();
    await arm.ask(request);
    return [(performance.now() - since) / tokensOfFlood];
  });
  const lines = compared('per token', arms, times, 'µs', 1000);
  for (const { name, pid } of arms) {
    const spent = (used.get(name) ?? 0) + processorMs(pid);
    // One more round warmed up.
    const value = (spent * 1000) / ((rounds + 1) * tokensOfFlood);
    lines.push(said({ name: `${name}: processor per token`, value, unit: 'µs' }));
  }
  return lines;
}

/** Requests come at a rate of their own, faster and faster, until p99 is over 50 ms or answers fall behind. @param {Arm[]} arms */
async function throughput(arms) {
  /** @type {Line[]} */
  const lines = [];
  for (const arm of arms) {
    let best = 0;
    for (const rate of [100, 200, 400, 600, 800, 1000, 1400, 2000]) {
      /** @type {number[]} */
      const times = [];
      /** @type {Promise<void>[]} */
      const running = [];
      const total = rate * 1.5;
      const since = performance.now();
      for (let sent = 0; sent < total;) {
        const due = Math.min(total, Math.floor(((performance.now() - since) / 1000) * rate));
        for (; sent < due; sent += 1) {
          const at = since + (sent * 1000) / rate;
          const asked = arm.ask({ model: 'slow', tokens: 1, stream: false });
          running.push(
            asked.then(
              () => void times.push(performance.now() - at),
              () => void times.push(Infinity),
            ),
          );
        }
        await delay(1);
      }
      await Promise.all(running);
      if (percentile(times, 0.99) > 50) break;
      best = rate;
    }
    lines.push(
      said({
        name: `${arm.name}: requests a second at p99 < 50 ms (service of 5 ms)`,
        value: best,
        unit: '/s',
      }),
    );
  }
  return lines;
}

/**
 * Each arm once a round, in an order that rotates; the first round warms up.
 *
 * @param {Arm[]} arms @param {number} rounds @param {(arm: Arm) => Promise<number[]>} measure
 */
async function inTurns(arms, rounds, measure) {
  /** @type {Map<string, number[][]>} */
  const byArm = new Map(arms.map(({ name }) => [name, []]));
  for (let round = 0; round <= rounds; round += 1) {
    for (let turn = 0; turn < arms.length; turn += 1) {
      const arm = arms[(turn + round) % arms.length];
      if (arm === undefined) continue;
      const samples = await measure(arm);
      if (round > 0) byArm.get(arm.name)?.push(samples);
    }
  }
  return byArm;
}

/**
 * Figures of each arm, and what it adds to the first: the medians of the rounds' differences, and of all samples' p99.
 *
 * @param {string} what @param {Arm[]} arms @param {Map<string, number[][]>} times @param {string} unit @param {number} factor
 */
function compared(what, arms, times, unit, factor) {
  const [base] = arms;
  const before = times.get(base?.name ?? '') ?? [];
  return arms.flatMap(({ name }) => {
    const own = times.get(name) ?? [];
    const all = own.flat();
    const absolute = said({
      name: `${name}: ${what}`,
      n: all.length,
      p50: percentile(all, 0.5) * factor,
      p99: percentile(all, 0.99) * factor,
      unit,
    });
    if (name === base?.name) return [absolute];
    const differences = own.map(
      (round, index) => percentile(round, 0.5) - percentile(before[index] ?? [], 0.5),
    );
    const added = said({
      name: `${name}: added to ${what}`,
      n: all.length,
      p50: percentile(differences, 0.5) * factor,
      p99: (percentile(all, 0.99) - percentile(before.flat(), 0.99)) * factor,
      unit,
    });
    return [absolute, added];
  });
}

/** @param {Line} line */
function said(line) {
  const { name, n, value, p50, p99, unit } = line;
  const show = (/** @type {number | undefined} */ figure) => (figure === undefined ? '' : figure.toFixed(2));
  const figures = value === undefined ? `n ${n}  p50 ${show(p50)}  p99 ${show(p99)}` : show(value);
  process.stdout.write(`${name.padEnd(62)} ${figures} ${unit}\n`);
  return line;
}

/** @template T @param {boolean} withPeer @param {(arms: Arm[]) => Promise<T>} body @returns {Promise<T>} */
async function withArms(withPeer, body) {
  const { child: service, port } = await startBeside('mock-upstream.mjs');
  const bare = await startBeside('bare-proxy.mjs', `http://127.0.0.1:${port}`);
  try {
    return await inPlace(async (place) => {
      const config = path.join(place.root, 'hearth.json');
      const common = { kind: 'openai-compat', base_url: `http://127.0.0.1:${port}` };
      const backends = ['fast', 'steady', 'slow'].map((model) => ({ ...common, name: model, model }));
      writeFileSync(config, JSON.stringify({ backends }));
      const flags = [
        '--config',
        config,
        '--http',
        '127.0.0.1:0',
        '--active-permits',
        '64',
        '--queue-depth',
        '4096',
      ];
      const { pid = 0 } = await place.serve('embedded', flags, /token in/);
      const url = new URL(/hearth: http (\S+) /.exec(place.said)?.[1] ?? '');
      const token = readFileSync(path.join(place.run, 'http-token'), 'utf8').trim();
      const arms = [
        httpArm('direct', service.pid ?? 0, port, {}),
        httpArm('hearth http', pid, Number(url.port), { Authorization: `Bearer ${token}` }),
        await socketArm('hearth ndjson', pid, place.inference),
        httpArm('bare proxy', bare.child.pid ?? 0, bare.port, {}),
      ];
      const other = withPeer ? await startPeer(port) : undefined;
      if (other !== undefined) arms.push(other.arm);
      try {
        return await body(arms);
      } finally {
        for (const arm of arms) arm.close();
        other?.child.kill('SIGTERM');
      }
    });
  } finally {
    bare.child.stdin.end();
    service.stdin.end();
  }
}

/** Runs a script of this folder that says its port and ends with its input. @param {string} script @param {string[]} args */
async function startBeside(script, ...args) {
  const file = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(process.execPath, [file, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [said] = await once(child.stdout, 'data');
  return { child, port: Number(String(said)) };
}

/** @param {string} name @param {number} pid @param {number} port @param {Record<string, string>} headers @param {boolean} [streams] @returns {Arm} */
function httpArm(name, pid, port, headers, streams = true) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 256 });
  return {
    name,
    pid,
    streams,
    ask: ({ model, tokens, stream }) =>
      new Promise((resolve, reject) => {
        const since = performance.now();
        const messages = [{ role: 'user', content: 'hello' }];
        const body = JSON.stringify({ model, messages, max_tokens: tokens, stream });
        const request = http.request({
          agent,
          port,
          host: '127.0.0.1',
          path: '/v1/chat/completions',
          method: 'POST',
          headers: {
            'Content-Type': 'application/json',
            'Content-Length': Buffer.byteLength(body),
            ...headers,
          },
        });
        request.once('error', reject);
        request.once('response', (response) => {
          let first = Number.NaN;
          response.on('data', (chunk) => {
            if (Number.isNaN(first) && String(chunk).includes(' a')) first = performance.now() - since;
          });
          response.once('end', () => {
            if (response.statusCode === 200 && !Number.isNaN(first)) resolve(first);
            else reject(new Error(`${name} answered ${response.statusCode}`));
          });
        });
        request.end(body);
      }),
    close: () => agent.destroy(),
  };
}

/** One connection, many requests at once. @param {string} name @param {number} pid @param {string} socketPath @returns {Promise<Arm>} */
async function socketArm(name, pid, socketPath) {
  /** @type {Map<string, { since: number, first: number, resolve: (first: number) => void, reject: (error: Error) => void }>} */
  const waiting = new Map();
  let last = 0;
  const client = await Client.open(socketPath, (frame) => {
    const one = waiting.get(frame.id);
    if (one === undefined) return;
    if (Number.isNaN(one.first)) one.first = performance.now() - one.since;
    if (!isEnd(frame)) return;
    waiting.delete(frame.id);
    if (frame.type === 'done') one.resolve(one.first);
    else one.reject(new Error(frame.message));
  });
  return {
    name,
    pid,
    streams: true,
    ask: ({ model, tokens, stream }) =>
      new Promise((resolve, reject) => {
        last += 1;
        const id = String(last);
        waiting.set(id, { since: performance.now(), first: Number.NaN, resolve, reject });
        client.send({
          id,
          model,
          messages: [{ role: 'user', content: 'hello' }],
          max_tokens: tokens,
          stream,
        });
      }),
    close: () => client.close(),
  };
}

/** Fetches the peer once, outside of this repository, and starts it. @param {number} upstream */
async function startPeer(upstream) {
  const home = path.join(os.tmpdir(), `hearth-bench-portkey-${peer.version}`);
  const entry = path.join(home, 'node_modules', peer.name, 'build/start-server.js');
  if (!existsSync(entry)) {
    mkdirSync(home, { recursive: true });
    const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-save', '--prefix', home];
    const done = spawnSync('npm', ['install', ...flags, `${peer.name}@${peer.version}`], { stdio: 'ignore' });
    if (done.status !== 0) throw new Error(`npm could not install ${peer.name}; leave out --peer`);
  }
  const port = 20_000 + Math.floor(Math.random() * 20_000);
  const child = spawn(process.execPath, [entry, `--port=${port}`, '--headless'], { stdio: 'ignore' });
  const up = async () => {
    for (;;) {
      const answer = await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined);
      if (answer !== undefined) return;
      await delay(50);
    }
  };
  await within(up(), peer.name);
  const headers = {
    Authorization: 'Bearer none',
    'x-portkey-provider': 'openai',
    'x-portkey-custom-host': `http://127.0.0.1:${upstream}/v1`,
  };
  return { child, arm: httpArm(`${peer.name} ${peer.version}`, child.pid ?? 0, port, headers, false) };
}

/** @param {number[]} values @param {number} share */
function percentile(values, share) {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
