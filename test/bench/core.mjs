import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { overhead } from './gateway.mjs';
import { askRpc, Client, connect, inPlace, isEnd, processorMs, residentMiB, say } from './processes.mjs';

/**
 * What the core of the daemon does under measurement, in real processes with the mock engine:
 *
 *   npm run bench -- core [--full] [--json FILE] [--rounds N] [--only NAME]
 *
 * Prints each figure with how often it was measured. Nothing here is a test: a busy machine gives worse figures.
 */

/**
 * @typedef {{ name: string, n: number, p50?: number, p99?: number, unit: string, note?: string }} Figure
 * @typedef {{ rounds: number, full: boolean }} Extent
 */

/** @type {Record<string, (extent: Extent) => Promise<Figure[]>>} */
const benches = {
  'start-race': startRace,
  recovery,
  attach,
  'queue-full': queueFull,
  cancel,
  fairness,
  classes,
  handover,
  drain,
  idle,
  overhead: added,
};

/** Twenty sidecars at once: one holder, all served. @param {Extent} extent */
async function startRace({ rounds }) {
  /** @type {number[]} */
  const last = [];
  /** @type {number[]} */
  const empty = [];
  let right = 0;
  let inTime = 0;
  for (let round = 0; round < rounds; round += 1) {
    empty.push(await emptyRace());
    await inPlace(async (place) => {
      const since = performance.now();
      const sidecars = Array.from({ length: 20 }, () => place.start(['sidecar', '--linger-secs', '0']));
      const answers = await Promise.all(
        sidecars.map(({ stdin, stdout }) => askRpc({ input: stdout, output: stdin }, 'hearth/health')),
      );
      last.push(performance.now() - since);
      const holders = new Set(answers.map(({ pid }) => pid));
      const alive = sidecars.filter(({ exitCode }) => exitCode === null).length;
      if (holders.size === 1 && alive === 20) right += 1;
      if ((last.at(-1) ?? Infinity) <= 2000) inTime += 1;
    });
  }
  return [
    figure(
      'start race: all 20 served',
      last,
      'ms',
      `one holder and 19 relays in ${right} of ${rounds} rounds, within 2 s in ${inTime}`,
    ),
    figure('start race: 20 Node processes with nothing to do, beside it', empty, 'ms'),
  ];
}

/** What the machine takes to start twenty of anything: how long until the last has ended, in milliseconds. */
async function emptyRace() {
  const since = performance.now();
  const all = Array.from({ length: 20 }, () => spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }));
  await Promise.all(all.map((child) => once(child, 'exit')));
  return performance.now() - since;
}

/** kill -9 of a holder to the hello of the next. @param {Extent} extent */
async function recovery({ rounds }) {
  /** @type {number[]} */
  const times = [];
  for (let round = 0; round < rounds * 2; round += 1) {
    await inPlace(async (place) => {
      const holder = await place.serve();
      const gone = once(holder, 'exit');
      const since = performance.now();
      holder.kill('SIGKILL');
      await gone;
      const next = place.start(['sidecar', '--linger-secs', '0']);
      await askRpc({ input: next.stdout, output: next.stdin }, 'hearth/health');
      times.push(performance.now() - since);
    });
  }
  return [
    figure(
      'stale recovery: kill -9 → hello of the next holder',
      times,
      'ms',
      'with the start of its process',
    ),
  ];
}

/** A second client: connect to answered hello, on the socket and through a relay. @param {Extent} extent */
async function attach({ full }) {
  return inPlace(async (place) => {
    await place.serve();
    /** @type {number[]} */
    const direct = [];
    for (let count = 0; count < (full ? 1000 : 200); count += 1) {
      const since = performance.now();
      const socket = await connect(place.rpc);
      await askRpc({ input: socket, output: socket }, 'hearth/hello', {
        wireVersion: 1,
        build: { version: '0.0.0', builtAt: 0 },
      });
      direct.push(performance.now() - since);
      socket.destroy();
    }
    /** @type {number[]} */
    const relayed = [];
    /** @type {number[]} */
    const bare = [];
    for (let count = 0; count < (full ? 40 : 10); count += 1) {
      const since = performance.now();
      const relay = place.start(['sidecar']);
      await askRpc({ input: relay.stdout, output: relay.stdin }, 'hearth/health');
      relayed.push(performance.now() - since);
      const ended = once(relay, 'exit');
      relay.stdin.end();
      await ended;
      bare.push(await bareNode());
    }
    return [
      figure('attach: connect → hello answered', direct, 'ms', `p95 ${percentile(direct, 0.95).toFixed(2)}`),
      figure(
        'attach: a new sidecar as relay → health answered',
        relayed,
        'ms',
        'with the start of its process',
      ),
      figure('  the start of an empty Node, beside it', bare, 'ms'),
    ];
  });
}

async function bareNode() {
  const { spawn } = await import('node:child_process');
  const since = performance.now();
  await once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'exit');
  return performance.now() - since;
}

/** Refusals while the queue is full, and how many were taken in. @param {Extent} extent */
async function queueFull({ full }) {
  return inPlace(async (place) => {
    await place.serve({ token_delay_ms: 600_000 });
    let accepted = 0;
    const holder = await Client.open(place.inference, ({ type }) => {
      if (type === 'accepted') accepted += 1;
    });
    const all = Array.from({ length: 30 }, (_, index) => say(`h${index}`, { events: true }));
    let refused = 0;
    const counted = holder.next(({ type }) => type === 'error' && (refused += 1) === 19);
    holder.send(...all);
    await counted;
    const client = await Client.open(place.inference);
    /** @type {number[]} */
    const times = [];
    for (let count = 0; count < (full ? 10_000 : 1500); count += 1) {
      const since = performance.now();
      const answer = client.next(isEnd);
      client.send(say('x'));
      if ((await answer).code !== 'queue_full') throw new Error('that was not refused');
      times.push(performance.now() - since);
    }
    holder.close();
    client.close();
    return [
      figure(
        'queue_full when full: send → error',
        times,
        'ms',
        `accepted ${accepted} of 30, where 1 + 10 may be`,
      ),
    ];
  });
}

/** From a peer's close, or a cancel, to the next job's start. @param {Extent} extent */
async function cancel({ full }) {
  const rounds = full ? 200 : 50;
  return inPlace(async (place) => {
    await place.serve({ tokens: Array.from({ length: 50 }, () => 'x'), token_delay_ms: 20 });
    /** @type {number[]} */
    const decode = [];
    /** @type {number[]} */
    const queued = [];
    for (let round = 0; round < rounds; round += 1) {
      const victim = await Client.open(place.inference);
      const runs = victim.next(({ type }) => type === 'token');
      victim.send(say('victim'));
      await runs;
      const next = await Client.open(place.inference);
      const waits = next.next(({ type }) => type === 'accepted');
      next.send(say('next', { events: true }));
      await waits;

      // A place in the queue is free when its owner hears that the request has ended.
      const gone = next.next((frame) => frame.id === 'gone' && frame.type === 'accepted');
      next.send(say('gone', { events: true }));
      await gone;
      const ended = next.next((frame) => frame.id === 'gone' && frame.type === 'done');
      let since = performance.now();
      next.send({ type: 'cancel', target: 'gone' });
      await ended;
      queued.push(performance.now() - since);

      const started = next.next(({ type }) => type === 'prefill');
      since = performance.now();
      victim.close();
      await started;
      decode.push(performance.now() - since);
      const over = next.next(isEnd);
      next.send({ type: 'cancel', target: 'next' });
      await over;
      next.close();
    }
    return [
      figure('cancel in the queue → ended', queued, 'ms', p95(queued)),
      figure('close in decode → next job starts (a token takes 20 ms)', decode, 'ms', p95(decode)),
    ];
  });
}

/** Four equal clients beside one with ten times their load, each a process of its own to the daemon. @param {Extent} extent */
async function fairness({ full }) {
  const seconds = full ? 20 : 6;
  return inPlace(async (place) => {
    // TCP, where each connection is a client of its own: here all would be one process.
    const flags = ['--tcp', '127.0.0.1:0', '--queue-depth', '200'];
    await place.serve({ tokens: ['a'], token_delay_ms: 5 }, flags, /inference tcp .*:\d+\n/);
    const port = Number(/inference tcp .*:(\d+)/.exec(place.said)?.[1]);
    const net = await import('node:net');
    const served = [0, 0, 0, 0, 0];
    let isOver = false;
    const clients = await Promise.all(
      served.map(async (_, index) => {
        const socket = net.connect(port, '127.0.0.1');
        await once(socket, 'connect');
        let last = 0;
        const client = new Client(socket, (frame) => {
          if (isOver || !isEnd(frame)) return;
          if (frame.type === 'done') served[index] = (served[index] ?? 0) + 1;
          client.send(say(`r${(last += 1)}`));
        });
        return client;
      }),
    );
    for (const [index, client] of clients.entries()) {
      const many = index === 4 ? 40 : 4;
      client.send(...Array.from({ length: many }, (_, one) => say(`s${one}`)));
    }
    await delay(seconds * 1000);
    isOver = true;
    for (const client of clients) client.close();
    const equal = served.slice(0, 4);
    const jain = (/** @type {number[]} */ values) =>
      values.reduce((sum, value) => sum + value, 0) ** 2 /
      (values.length * values.reduce((sum, value) => sum + value * value, 0));
    return [
      {
        name: 'fairness: Jain index of 4 equal clients, beside one with 10× the load',
        n: served.reduce((sum, value) => sum + value, 0),
        p50: jain(equal),
        unit: '',
        note: `of all five ${jain(served).toFixed(3)}; served ${served.join(' ')}`,
      },
    ];
  });
}

/** Interactive requests, idle and under a flood of background work. @param {Extent} extent */
async function classes({ full }) {
  const rounds = full ? 300 : 60;
  return inPlace(async (place) => {
    await place.serve({ tokens: ['a', 'b'], token_delay_ms: 5 });
    const typist = await Client.open(place.inference);
    const ask = async () => {
      const since = performance.now();
      const answer = typist.next(isEnd);
      typist.send(say('i', { class: 'interactive' }));
      await answer;
      return performance.now() - since;
    };
    const flood = await Client.open(place.inference);
    /** @type {{ idle: number[], flooded: number[] }} */
    const times = { idle: [], flooded: [] };
    // In turn, so that what the machine does beside this weighs on both alike.
    for (let batch = 0; batch < 6; batch += 1) {
      for (let count = 0; count < rounds / 6; count += 1) times.idle.push(await ask());
      let isOn = true;
      let open = 8;
      flood.onFrame = (frame) => {
        if (!isEnd(frame)) return;
        if (isOn) flood.send(say('b', { class: 'background' }));
        else open -= 1;
      };
      flood.send(...Array.from({ length: 8 }, () => say('b', { class: 'background' })));
      for (let count = 0; count < rounds / 6; count += 1) times.flooded.push(await ask());
      isOn = false;
      while (open > 0) await delay(5);
    }
    typist.close();
    flood.close();
    const ratio = percentile(times.flooded, 0.95) / percentile(times.idle, 0.95);
    return [
      figure('interactive, nobody else', times.idle, 'ms', p95(times.idle)),
      figure(
        'interactive, under a flood of background',
        times.flooded,
        'ms',
        `${p95(times.flooded)}, ratio ${ratio.toFixed(2)}`,
      ),
    ];
  });
}

/** A drain by a successor, as a newer build asks for it, while a stream runs. @param {Extent} extent */
async function handover({ rounds }) {
  /** @type {number[]} */
  const gaps = [];
  let lost = 0;
  const tokens = ['a', 'b', 'c', 'd', 'e'];
  for (let round = 0; round < rounds; round += 1) {
    await inPlace(async (place) => {
      await place.serve({ tokens, token_delay_ms: 30 });
      let content = '';
      const client = await Client.open(place.inference, (frame) => {
        if (frame.type === 'token') content += frame.content;
        if (frame.type === 'done') endedAt = performance.now();
      });
      let endedAt = 0;
      const runs = client.next(({ type }) => type === 'token');
      client.send(say('runs'));
      await runs;
      const closed = once(client.socket, 'close');
      const socket = await connect(place.rpc);
      const asked = askRpc({ input: socket, output: socket }, 'hearth/drain').catch(() => undefined);
      const next = place.start(['sidecar', '--linger-secs', '0']);
      await askRpc({ input: next.stdout, output: next.stdin }, 'hearth/health');
      await Promise.all([asked, closed]);
      for (;;) {
        const reached = await connect(place.inference).catch(() => undefined);
        if (reached !== undefined) {
          reached.destroy();
          break;
        }
        await delay(2);
      }
      gaps.push(Math.max(0, performance.now() - endedAt));
      if (content !== tokens.join('') || endedAt === 0) lost += 1;
    });
  }
  return [
    figure(
      'handover: last frame of the old → the new serves',
      gaps,
      'ms',
      `streams that lost a frame: ${lost} of ${rounds}`,
    ),
  ];
}

/** SIGTERM under load: each request has one terminal frame. @param {Extent} extent */
async function drain({ full }) {
  const rounds = full ? 100 : 20;
  /** @type {number[]} */
  const times = [];
  const faults = { lost: 0, duplicated: 0, requests: 0 };
  for (let round = 0; round < rounds; round += 1) {
    await inPlace(async (place) => {
      const daemon = await place.serve({ tokens: ['a', 'b', 'c'], token_delay_ms: 10 }, [
        '--active-permits',
        '2',
      ]);
      /** @type {Map<string, number>} */
      const ends = new Map();
      const clients = await Promise.all(
        [0, 1, 2].map(() =>
          Client.open(place.inference, (frame) => {
            if (isEnd(frame)) ends.set(frame.id, (ends.get(frame.id) ?? 0) + 1);
          }),
        ),
      );
      const closed = clients.map(({ socket }) => once(socket, 'close'));
      const confirmed = clients.map((client, index) => {
        const taken = client.next((frame) => frame.id === `c${index}`);
        const requests = [0, 1, 2, 3].map((one) => say(`${index}-${one}`));
        client.send(...requests, { id: `c${index}`, messages: [] });
        return taken;
      });
      await Promise.all(confirmed);
      // At another moment of the work each time.
      await delay(round % 10);
      const since = performance.now();
      daemon.kill('SIGTERM');
      await once(daemon, 'exit');
      times.push(performance.now() - since);
      await Promise.all(closed);
      for (let index = 0; index < 3; index += 1) {
        for (let one = 0; one < 4; one += 1) {
          const count = ends.get(`${index}-${one}`) ?? 0;
          faults.requests += 1;
          if (count === 0) faults.lost += 1;
          if (count > 1) faults.duplicated += 1;
        }
      }
    });
  }
  const { lost, duplicated, requests } = faults;
  return [
    figure(
      'drain: SIGTERM under load → exit',
      times,
      'ms',
      `terminal frames of ${requests}: lost ${lost}, duplicated ${duplicated}`,
    ),
  ];
}

/** Memory and processor of a daemon without work. @param {Extent} extent */
async function idle({ full }) {
  if (process.platform !== 'linux') return [];
  const seconds = full ? 60 : 10;
  return inPlace(async (place) => {
    const { pid = 0 } = await place.serve();
    /** @type {Figure[]} */
    const figures = [];
    for (const count of [0, 100]) {
      const sockets = await Promise.all(Array.from({ length: count }, () => connect(place.inference)));
      await delay(1000);
      const before = processorMs(pid);
      await delay(seconds * 1000);
      const used = processorMs(pid) - before;
      figures.push(
        { name: `idle, ${count} connections: memory`, n: 1, p50: residentMiB(pid), unit: 'MiB' },
        {
          name: `idle, ${count} connections: processor`,
          n: 1,
          p50: (used / (seconds * 1000)) * 100,
          unit: '%',
          note: `${used} ms in ${seconds} s`,
        },
      );
      for (const socket of sockets) socket.destroy();
    }
    return figures;
  });
}

/** What the daemon adds to a service that it stands before (row 176); prints its lines as they come. @param {Extent} extent */
async function added({ full, rounds }) {
  await overhead(full ? 7 : Math.min(3, rounds));
  return [];
}

/** @param {string} name @param {number[]} values @param {string} unit @param {string} [note] @returns {Figure} */
function figure(name, values, unit, note) {
  return {
    name,
    n: values.length,
    p50: percentile(values, 0.5),
    p99: percentile(values, 0.99),
    unit,
    ...(note === undefined ? {} : { note }),
  };
}

/** @param {number[]} values @param {number} share */
function percentile(values, share) {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** @param {number[]} values */
function p95(values) {
  return `p95 ${percentile(values, 0.95).toFixed(2)}`;
}

/** @param {string[]} args */
export async function core(args) {
  const value = (/** @type {string} */ flag) =>
    args.includes(flag) ? args[args.indexOf(flag) + 1] : undefined;
  const full = args.includes('--full');
  const extent = { full, rounds: Number(value('--rounds') ?? (full ? 100 : 5)) };
  const only = value('--only');
  const machine = {
    cpu: os.cpus()[0]?.model ?? 'unknown',
    cores: os.cpus().length,
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    system: `${os.type()} ${os.release()}`,
    node: process.version,
    load: os.loadavg()[0] ?? 0,
  };
  process.stdout.write(
    `${machine.cores} × ${machine.cpu}, ${machine.memoryGiB} GiB, ${machine.system}, Node ${machine.node}, load ${machine.load.toFixed(1)}\n\n`,
  );
  /** @type {Figure[]} */
  const figures = [];
  for (const [name, bench] of Object.entries(benches)) {
    if (only !== undefined && only !== name) continue;
    for (const one of await bench(extent)) {
      figures.push(one);
      process.stdout.write(`${describe(one)}\n`);
    }
  }
  const file = value('--json');
  if (file !== undefined) writeFileSync(file, `${JSON.stringify({ machine, figures }, undefined, 2)}\n`);
}

/** @param {Figure} figure */
function describe({ name, n, p50, p99, unit, note }) {
  const show = (/** @type {number | undefined} */ value) =>
    value === undefined ? '' : value.toFixed(value < 10 ? 2 : 0);
  const figures = [
    `n ${n}`.padStart(7),
    `p50 ${show(p50)}`.padStart(11),
    p99 === undefined ? '' : `p99 ${show(p99)}`,
  ];
  return `${name.padEnd(70)} ${figures[0]} ${figures[1]} ${(figures[2] ?? '').padStart(11)} ${unit.padEnd(3)} ${note ?? ''}`.trimEnd();
}
