import { once } from 'node:events';
import http from 'node:http';
import { Client, isEnd } from './processes.mjs';

/** Questions to the engine under measurement. */

/**
 * Milliseconds to the first token through the socket, and how many tokens of the prompt were there already.
 *
 * @param {import('./processes.mjs').Place} place @param {string} prompt
 */
export async function firstTokenHearth(place, prompt) {
  let firstAt = 0;
  const client = await Client.open(place.inference, ({ type }) => {
    if (type === 'token' && firstAt === 0) firstAt = performance.now();
  });
  const over = client.next(isEnd);
  const since = performance.now();
  client.send({ ...greedy('first', prompt, 2), events: true });
  const { usage } = await over;
  client.close();
  return { ms: firstAt - since, cached: usage.cached_tokens ?? 0 };
}

/**
 * Tokens a second of all clients together, as they come to the clients, from the moment on at which all of them have had one.
 *
 * @param {import('./processes.mjs').Place} place @param {number} clients @param {number} tokens
 */
export async function decodeHearth(place, clients, tokens) {
  const meter = new Meter(clients);
  const client = await Client.open(place.inference, ({ type, id }) => {
    if (type === 'token') meter.note(id);
  });
  let ended = 0;
  const over = client.next((frame) => isEnd(frame) && (ended += 1) === clients);
  const ids = Array.from({ length: clients }, (_, index) => `${index}`);
  client.send(...ids.map((id) => greedy(id, promptOf(id), tokens)));
  await over;
  client.close();
  return meter.rate();
}

/**
 * The same of llama-server: streamed and seen by the clients, as Hearth's are, or as it counts itself while it sends nobody
 * anything before the end.
 *
 * @param {number} port @param {number} clients @param {number} tokens @param {boolean} streams
 */
export async function decodeServer(port, clients, tokens, streams) {
  const meter = new Meter(clients);
  const own = await Promise.all(
    Array.from({ length: clients }, async (_, index) => {
      const question = {
        prompt: promptOf(`${index}`),
        n_predict: tokens,
        temperature: 0,
        ignore_eos: true,
        cache_prompt: false,
        stream: streams,
      };
      // It closes the connection behind a stream, so none is kept.
      const target = { port, host: '127.0.0.1', path: '/completion', method: 'POST', agent: false };
      const request = http.request(target);
      request.end(JSON.stringify(question));
      const [response] = /** @type {[http.IncomingMessage]} */ (await once(request, 'response'));
      let rest = '';
      response.setEncoding('utf8').on('data', (chunk) => {
        const events = (rest + String(chunk)).split('\n\n');
        rest = events.pop() ?? '';
        for (const event of events) {
          if (JSON.parse(event.slice('data: '.length)).stop === false) meter.note(`${index}`);
        }
      });
      await once(response, 'end');
      return streams ? 0 : Number(JSON.parse(rest).timings.predicted_per_second);
    }),
  );
  return streams ? meter.rate() : own.reduce((sum, one) => sum + one, 0);
}

/** Counts tokens from the moment on at which every stream has had one. */
class Meter {
  /** @param {number} streams */
  constructor(streams) {
    this.streams = streams;
    /** @type {Set<string>} */
    this.seen = new Set();
    this.since = 0;
    this.counted = 0;
  }

  /** @param {string} stream */
  note(stream) {
    if (this.seen.size === this.streams) this.counted += 1;
    else if (this.seen.add(stream).size === this.streams) this.since = performance.now();
  }

  /** Tokens a second until now. */
  rate() {
    return (this.counted * 1000) / (performance.now() - this.since);
  }
}

/** @param {string} id */
const promptOf = (id) => `${id} a prompt of a few words`;

/** @param {string} id @param {string} prompt @param {number} tokens */
export function greedy(id, prompt, tokens) {
  return { id, prompt, temperature: 0, max_tokens: tokens };
}

/** @param {number[]} values */
export function median(values) {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** Text of so many tokens, different for each seed: in the bench's models bytes are tokens. @param {number} seed @param {number} length */
export function textOf(seed, length) {
  return Array.from({ length }, (_, index) => 'abcdefghij'[(seed + index * index + index * seed) % 10]).join(
    '',
  );
}
