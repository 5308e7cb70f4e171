import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { Pool } from 'undici';
import { processorMs, residentMiB } from './processes.mjs';

/**
 * What the router and the pipeline cost, in real processes:
 *
 *   npm run bench -- router [--rounds N] [--json FILE]
 *
 * The same load goes to a service directly and through `hearth router`, by turns, so that a busy machine treats both
 * alike. Nothing here is a test.
 */

const folder = path.dirname(fileURLToPath(import.meta.url));
const hearth = path.resolve(folder, '../../server/bin/hearth.cjs');
const service = path.join(folder, 'prefill-service.mjs');

/** @typedef {{ name: string, direct?: string, router: string, unit: string, note: string }} Line */
/** @typedef {import('node:child_process').ChildProcess} Child */

/** @param {string[]} args */
export async function router(args) {
  const value = (/** @type {string} */ flag) =>
    args.includes(flag) ? args[args.indexOf(flag) + 1] : undefined;
  const rounds = Number(value('--rounds') ?? 10);
  process.stdout.write(
    `${os.cpus().length} × ${os.cpus()[0]?.model ?? 'unknown'}, Node ${process.version}, load ${(os.loadavg()[0] ?? 0).toFixed(1)}\n\n`,
  );
  /** @type {Line[]} */
  const lines = [];
  for (const bench of [latency, affinity, pipeline]) {
    for (const line of await bench(rounds)) {
      lines.push(line);
      const { name, direct = '', router: through, unit, note } = line;
      process.stdout.write(
        `${name.padEnd(44)} direct ${direct.padStart(8)}  router ${through.padStart(8)} ${unit.padEnd(6)} ${note}\n`,
      );
    }
  }
  const file = value('--json');
  if (file !== undefined) writeFileSync(file, `${JSON.stringify(lines, undefined, 2)}\n`);
}

const small = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'hello' }] });
const large = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'a'.repeat(1 << 20) }] });
const stream = JSON.stringify({ model: 'm', stream: true, messages: [{ role: 'user', content: 'hello' }] });

/** Added latency, first event, load and cost. @param {number} rounds @returns {Promise<Line[]>} */
async function latency(rounds) {
  return inPlace(async (place) => {
    const port = await place.service();
    const { url, child } = await place.router([port]);
    const arms = {
      direct: new Pool(`http://127.0.0.1:${port}`, { connections: 16 }),
      router: new Pool(url, { connections: 16 }),
    };
    /** @type {Line[]} */
    const lines = [];
    /** @param {string} name @param {string} body @param {number} each @param {boolean} first */
    const compare = async (name, body, each, first) => {
      /** @type {Record<'direct' | 'router', number[]>} */
      const times = { direct: [], router: [] };
      for (let round = 0; round <= rounds; round += 1) {
        for (const arm of /** @type {const} */ (['direct', 'router'])) {
          for (let turn = 0; turn < each; turn += 1) {
            const time = await ask(arms[arm], body, first);
            // The first round warms both up.
            if (round > 0) times[arm].push(time);
          }
        }
      }
      const added = (/** @type {number} */ share) =>
        (percentile(times.router, share) - percentile(times.direct, share)).toFixed(2);
      lines.push({
        name,
        direct: percentile(times.direct, 0.5).toFixed(2),
        router: percentile(times.router, 0.5).toFixed(2),
        unit: 'ms p50',
        note: `added p50 ${added(0.5)} ms, p99 ${added(0.99)} ms; n ${times.router.length} each`,
      });
    };
    await compare('one request at a time', small, 100, false);
    await compare('first event of a stream', stream, 50, true);
    await compare('a body of 1 MiB', large, 10, false);

    const before = processorMs(child.pid ?? 0);
    /** @type {Record<'direct' | 'router', number[]>} */
    const rates = { direct: [], router: [] };
    let forwarded = 0;
    /** @type {number[]} */
    const loaded = [];
    for (let round = 0; round < rounds; round += 1) {
      for (const arm of /** @type {const} */ (['direct', 'router'])) {
        const since = performance.now();
        await Promise.all(
          Array.from({ length: 16 }, async () => {
            for (let turn = 0; turn < 40; turn += 1) {
              const time = await ask(arms[arm], small, false);
              if (arm === 'router') loaded.push(time);
            }
          }),
        );
        rates[arm].push((16 * 40) / ((performance.now() - since) / 1000));
        if (arm === 'router') forwarded += 16 * 40;
      }
    }
    const cost = (processorMs(child.pid ?? 0) - before) / forwarded;
    lines.push({
      name: 'requests a second, 16 at once',
      direct: percentile(rates.direct, 0.5).toFixed(0),
      router: percentile(rates.router, 0.5).toFixed(0),
      unit: '1/s',
      note: `p99 ${percentile(loaded, 0.99).toFixed(1)} ms; ${cost.toFixed(2)} ms of processor a request`,
    });
    lines.push({
      name: 'memory of the router after that',
      router: residentMiB(child.pid ?? 0).toFixed(0),
      unit: 'MiB',
      note: '',
    });
    await Promise.all([arms.direct.close(), arms.router.close()]);
    return lines;
  });
}

/** Conversations that go on, over services that keep a few each: prefix affinity against turns. @param {number} rounds @returns {Promise<Line[]>} */
async function affinity(rounds) {
  return inPlace(async (place) => {
    /** @type {Record<'turns' | 'prefix', number[]>} */
    const times = { turns: [], prefix: [] };
    for (let round = 0; round < Math.min(rounds, 3); round += 1) {
      for (const [arm, flags] of /** @type {const} */ ([
        ['turns', ['--balance', 'round-robin']],
        ['prefix', ['--balance', 'prefix']],
      ])) {
        // Each round has services that have seen nothing.
        const ports = [
          await place.service('2000', '12'),
          await place.service('2000', '12'),
          await place.service('2000', '12'),
        ];
        const { url } = await place.router(ports, [...flags]);
        const pool = new Pool(url, { connections: 8 });
        const conversations = Array.from({ length: 26 }, (_, index) => [
          { role: 'user', content: `${index} `.padEnd(8192, `${index}`) },
        ]);
        for (let turn = 0; turn < 5; turn += 1) {
          for (let at = 0; at < conversations.length; at += 8) {
            await Promise.all(
              conversations.slice(at, at + 8).map(async (messages) => {
                times[arm].push(await ask(pool, JSON.stringify({ model: 'm', messages }), false));
                messages.push(
                  { role: 'assistant', content: 'ok' },
                  { role: 'user', content: `${turn}`.repeat(512) },
                );
              }),
            );
          }
        }
        await pool.close();
      }
    }
    const mean = (/** @type {number[]} */ values) =>
      values.reduce((sum, one) => sum + one, 0) / values.length;
    const ratio = mean(times.prefix) / mean(times.turns);
    return [
      {
        name: 'prefix affinity against round robin, mean',
        direct: mean(times.turns).toFixed(1),
        router: mean(times.prefix).toFixed(1),
        unit: 'ms',
        note: `${ratio.toFixed(2)} × (first column: round robin); n ${times.prefix.length} each, cache simulated`,
      },
    ];
  });
}

/** From nothing to a routed answer: registry, babysitter, service and router, all started at once. @param {number} rounds @returns {Promise<Line[]>} */
async function pipeline(rounds) {
  /** @type {number[]} */
  const times = [];
  for (let round = 0; round < Math.min(rounds, 5); round += 1) {
    await inPlace(async (place) => {
      const [registry, sat, front] = [await freePort(), await freePort(), await freePort()];
      const file = path.join(place.folder, 'babysitter.toml');
      writeFileSync(
        file,
        `name = "sat"\nport = ${sat}\nregistry_url = "http://127.0.0.1:${registry}"\n[backend]\ntype = "mock"\nmodels = ["m"]\n`,
      );
      const since = performance.now();
      place.start(['registry', '--port', String(registry)]);
      place.start(['babysit', '--config-file', file]);
      place.start([
        'router',
        '--router-port',
        String(front),
        '--registry-url',
        `http://127.0.0.1:${registry}`,
      ]);
      const pool = new Pool(`http://127.0.0.1:${front}`);
      for (;;) {
        const answer = await pool
          .request({
            method: 'POST',
            path: '/v1/chat/completions',
            headers: { 'content-type': 'application/json' },
            body: small,
          })
          .catch(() => undefined);
        await answer?.body.dump();
        if (answer?.statusCode === 200) break;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      times.push(performance.now() - since);
      await pool.close();
    });
  }
  return [
    {
      name: 'the pipeline, from nothing to a routed answer',
      router: percentile(times, 0.5).toFixed(0),
      unit: 'ms',
      note: `worst ${Math.max(...times).toFixed(0)} ms; n ${times.length}; InfiniLM-SVC's own figure: 13 000 ms`,
    },
  ];
}

/** Asks, and gives the milliseconds to the end, or to the first byte. @param {Pool} pool @param {string} body @param {boolean} first */
async function ask(pool, body, first) {
  const since = performance.now();
  const answer = await pool.request({
    method: 'POST',
    path: '/v1/chat/completions',
    headers: { 'content-type': 'application/json' },
    body,
  });
  let at = 0;
  for await (const _piece of answer.body) if (first && at === 0) at = performance.now() - since;
  if (answer.statusCode !== 200) throw new Error(`status ${answer.statusCode}`);
  return first ? at : performance.now() - since;
}

/** @template T @param {(place: Place) => Promise<T>} body */
async function inPlace(body) {
  const place = new Place();
  try {
    return await body(place);
  } finally {
    await place.end();
  }
}

/** A folder and processes that end together. */
class Place {
  folder = mkdtempSync(path.join(os.tmpdir(), 'hearth-bench-'));
  /** @type {Child[]} */
  #children = [];

  /** @param {string[]} args */
  start(args) {
    const child = spawn(process.execPath, [hearth, ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
    child.stdout.resume();
    this.#children.push(child);
    return child;
  }

  /** A service that listens. @param {string[]} args */
  async service(...args) {
    const port = await freePort();
    const child = spawn(process.execPath, [service, String(port), ...args], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#children.push(child);
    await once(child.stdout, 'data');
    return port;
  }

  /** A router before services at these ports, once they are healthy. @param {number[]} ports @param {string[]} flags */
  async router(ports, flags = []) {
    const file = path.join(this.folder, `services-${ports[0]}.json`);
    const list = ports.map((port) => ({
      name: `s${port}`,
      host: '127.0.0.1',
      port,
      metadata: { models: ['m'] },
    }));
    writeFileSync(file, JSON.stringify(list));
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const child = this.start(['router', '--router-port', String(port), '--static-services', file, ...flags]);
    const pool = new Pool(url);
    for (;;) {
      const answer = await pool.request({ method: 'GET', path: '/health' }).catch(() => undefined);
      const text = await answer?.body.text();
      if (text?.includes(`${ports.length}/${ports.length}`) === true) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await pool.close();
    return { url, child };
  }

  async end() {
    await Promise.all(
      this.#children.map(async (child) => {
        if (child.exitCode !== null) return;
        const gone = once(child, 'exit');
        child.kill('SIGTERM');
        await gone;
      }),
    );
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A port that is free now, as is the next. @returns {Promise<number>} */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** @param {number[]} values @param {number} share */
function percentile(values, share) {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
