import os from 'node:os';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, connect, inPlace, processorMs, residentMiB } from './processes.mjs';

/**
 * Ten thousand events a second to twenty subscribers of one channel, one of which never reads, over real sockets:
 *
 *   npm run bench -- events [--seconds N] [--rate N] [--subscribers N]
 *
 * Prints what arrived, how late, and the daemon's memory and processor time. Publisher and readers share one process, which
 * the figures include.
 */

const lineFeed = 0x0a;

/** @param {string[]} args */
export async function events(args) {
  const value = (/** @type {string} */ flag, /** @type {number} */ fallback) =>
    args.includes(flag) ? Number(args[args.indexOf(flag) + 1]) : fallback;
  const seconds = value('--seconds', 10);
  const rate = value('--rate', 10_000);
  const count = value('--subscribers', 20);
  process.stdout.write(
    `${os.cpus().length} × ${os.cpus()[0]?.model ?? 'unknown'}, Node ${process.version}, load ${(os.loadavg()[0] ?? 0).toFixed(1)}\n\n`,
  );
  await inPlace(async (place) => {
    const daemon = await place.serve();
    const pid = daemon.pid ?? 0;
    const readers = await Promise.all(Array.from({ length: count - 1 }, () => Reader.open(place.inference)));
    const stalled = await connect(place.inference);
    stalled.pause();
    stalled.write('{"type":"subscribe","channel":"bench/events"}\n');
    /** @type {number} */
    let accepted = 0;
    const publisher = await Client.open(place.inference, (frame) => {
      if (frame.type === 'published') accepted += 1;
    });
    await publish(publisher, rate, 1, () => undefined);
    const before = { memory: residentMiB(pid), processor: processorMs(pid) };
    for (const reader of readers) reader.reset();
    accepted = 0;
    let peak = before.memory;
    const since = performance.now();
    const sent = await publish(publisher, rate, seconds, () => {
      peak = Math.max(peak, residentMiB(pid));
    });
    while (
      readers.some((reader) => reader.events < sent && !reader.ended) &&
      performance.now() - since < (seconds + 10) * 1000
    )
      await delay(5);
    const took = (performance.now() - since) / 1000;
    const busy = processorMs(pid) - before.processor;
    const arrived = readers.reduce((sum, reader) => sum + reader.events, 0);
    const whole = readers.filter((reader) => reader.events === sent).length;
    const lags = readers.flatMap((reader) => reader.lags).toSorted((a, b) => a - b);
    const at = (/** @type {number} */ part) => (lags[Math.floor(lags.length * part)] ?? NaN).toFixed(1);
    const lines = [
      `published             ${sent} events of 64 bytes in ${took.toFixed(1)} s: ${Math.round(sent / took)} a second, ${accepted} confirmed`,
      `subscribers           ${readers.length} that read, of whom ${whole} got every event and ${readers.filter((reader) => reader.ended).length} were ended; 1 that does not`,
      `delivered             ${arrived} events: ${Math.round(arrived / took)} a second`,
      `published → read      p50 ${at(0.5)} ms, p99 ${at(0.99)} ms (n ${lags.length})`,
      `daemon's memory       ${before.memory.toFixed(0)} MiB before, ${peak.toFixed(0)} MiB at most`,
      `daemon's processor    ${(busy / took / 10).toFixed(0)} % of one core`,
      `the stalled one       ${await shedText(stalled)}`,
    ];
    process.stdout.write(`${lines.join('\n')}\n`);
    for (const reader of readers) reader.socket.destroy();
    publisher.socket.destroy();
    stalled.destroy();
  });
}

/**
 * Publishes in ticks of ten milliseconds. Makes up for late ones, a tenth of a second at a time. Gives how many.
 *
 * @param {Client} publisher @param {number} rate a second @param {number} seconds @param {() => void} onTick
 */
async function publish(publisher, rate, seconds, onTick) {
  const since = performance.now();
  const total = rate * seconds;
  let sent = 0;
  while (sent < total) {
    const late = Math.floor(((performance.now() - since) / 1000) * rate);
    const due = Math.min(total, late, sent + rate / 10);
    const at = Date.now();
    let text = '';
    for (; sent < due; sent += 1)
      text += `{"type":"publish","channel":"bench/events","body":{"n":${sent},"at":${at},"pad":"0123456789abcdef0123456789"}}\n`;
    if (text !== '' && !publisher.socket.write(text))
      await new Promise((resolve) => publisher.socket.once('drain', resolve));
    onTick();
    await delay(10);
  }
  return sent;
}

/** A subscriber that counts lines, acknowledges in good time, and looks at one event of each chunk for its age. */
class Reader {
  /** @param {import('node:net').Socket} socket */
  constructor(socket) {
    this.socket = socket;
    this.events = -1;
    this.seq = 0;
    this.subscription = 0;
    this.ended = false;
    /** @type {number[]} */
    this.lags = [];
    /** @type {(() => void) | undefined} */
    this.onSubscribed = undefined;
    socket.on('data', (chunk) => this.take(/** @type {Buffer} */ (chunk)));
    socket.on('close', () => (this.ended = true));
  }

  /** @param {string} path */
  static async open(path) {
    const reader = new Reader(await connect(path));
    const subscribed = new Promise((resolve) => (reader.onSubscribed = () => resolve(undefined)));
    reader.socket.write('{"type":"subscribe","channel":"bench/events","max_in_flight":4096}\n');
    await subscribed;
    return reader;
  }

  reset() {
    this.events = 0;
    this.lags = [];
  }

  /** @param {Buffer} chunk */
  take(chunk) {
    if (this.subscription === 0) {
      this.subscription = JSON.parse(chunk.toString('utf8').split('\n')[0] ?? '').subscription;
      this.events = 0;
      this.onSubscribed?.();
      return;
    }
    let lines = 0;
    for (let at = chunk.indexOf(lineFeed); at !== -1; at = chunk.indexOf(lineFeed, at + 1)) lines += 1;
    this.events += lines;
    const before = this.seq;
    this.seq += lines;
    if (Math.floor(this.seq / 256) > Math.floor(before / 256))
      this.socket.write(`{"type":"ack","subscription":${this.subscription},"seq":${this.seq}}\n`);
    const sentAt = /"at":(\d+)/.exec(chunk.toString('latin1', Math.max(0, chunk.length - 200)))?.[1];
    if (sentAt !== undefined) this.lags.push(Date.now() - Number(sentAt));
    if (chunk.includes('"slow_consumer"')) {
      this.ended = true;
      this.events -= 1;
    }
  }
}

/** What the one that did not read finds when it reads at last. @param {import('node:net').Socket} socket */
async function shedText(socket) {
  let text = '';
  const shed = new Promise((resolve) => {
    socket.on('data', (chunk) => {
      text += String(chunk);
      if (text.includes('"slow_consumer"')) resolve(undefined);
    });
  });
  socket.resume();
  await Promise.race([shed, delay(2000)]);
  const kept = text.split('\n').filter((line) => line.includes('"type":"event"')).length;
  return text.includes('"slow_consumer"')
    ? `was ended with slow_consumer after ${kept} events; its connection lives`
    : `was NOT ended (${kept} events)`;
}
