/**
 * A service for the router's bench: it takes time for what of a conversation it has not seen, as a KV cache does.
 *
 *   node prefill-service.mjs PORT [MICROSECONDS_PER_KILOBYTE] [CONVERSATIONS_IN_CACHE]
 *
 * With 0 microseconds it answers at once. `"stream": true` gives 40 events without pauses.
 */
import { createServer } from 'node:http';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';

const [port, perKilobyte = '0', kept = '8'] = process.argv.slice(2);
/** Conversations that are kept, by their first message, with the bytes that are known of each. @type {Map<string, number>} */
const cache = new Map();
const events = Array.from(
  { length: 40 },
  (_, index) =>
    `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: `token ${index} ` } }] })}\n\n`,
);
const answer = JSON.stringify({
  object: 'chat.completion',
  choices: [{ message: { role: 'assistant', content: 'ok' } }],
});

const server = createServer((request, response) => {
  void serve(request, response);
});
server.keepAliveTimeout = 60_000;
server.listen(Number(port), '127.0.0.1', () => process.stdout.write('ready\n'));

/** @param {import('node:http').IncomingMessage} request @param {import('node:http').ServerResponse} response */
async function serve(request, response) {
  /** @type {Buffer[]} */
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  if (request.method !== 'POST') return response.end('{}');
  const body = Buffer.concat(chunks).toString();
  if (perKilobyte !== '0') await prefill(JSON.parse(body));
  if (!body.includes('"stream":true')) {
    response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': answer.length });
    return response.end(answer);
  }
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  for (const event of events) response.write(event);
  return response.end('data: [DONE]\n\n');
}

/** @param {{ messages: { content: string }[] }} request */
async function prefill({ messages }) {
  const key = messages[0]?.content ?? '';
  const bytes = messages.reduce((sum, { content }) => sum + content.length, 0);
  const known = cache.get(key) ?? 0;
  cache.delete(key);
  cache.set(key, bytes);
  const [oldest] = cache.keys();
  if (cache.size > Number(kept) && oldest !== undefined) cache.delete(oldest);
  await delay(((bytes - known) / 1024) * (Number(perKilobyte) / 1000));
}
