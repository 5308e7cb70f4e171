/**
 * A service that says what it was asked, byte for byte, and fails in ways that paths choose.
 *
 *   node echo-service.mjs PORT [--never]
 */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import process from 'node:process';

const [port, flag] = process.argv.slice(2);
/** @type {(() => void)[]} */
const waiting = [];
/** @type {Promise<void>} */
let stalledIsGone = Promise.resolve();

const server = createServer((request, response) => {
  void answer(request, response);
});
// Never ready: it runs, and listens nowhere.
if (flag === '--never') setInterval(() => undefined, 60_000);
else server.listen(Number(port), '127.0.0.1');

/** @param {import('node:http').IncomingMessage} request @param {import('node:http').ServerResponse} response */
async function answer(request, response) {
  /** @type {Buffer[]} */
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const { method, url = '', rawHeaders } = request;
  const status = /^\/v1\/status\/(\d+)$/.exec(url)?.[1];
  if (url === '/v1/models') return json(response, { data: [{ id: 'echo' }] });
  if (status !== undefined) {
    response.writeHead(Number(status), { 'Content-Type': 'application/x-odd; v=1' });
    return response.end(Buffer.from([0, 1, 254, 255]));
  }
  if (url === '/v1/slow') return undefined;
  if (url === '/v1/stall') {
    stalledIsGone = new Promise((resolve) => response.once('close', () => resolve()));
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    return response.write('data: 1\n\n');
  }
  if (url === '/v1/until-gone') {
    await stalledIsGone;
    return json(response, { gone: true });
  }
  if (url === '/v1/go') {
    waiting.shift()?.();
    return json(response, {});
  }
  if (url === '/v1/stream') {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    for (const event of ['1', '2']) {
      response.write(`data: ${event}\n\n`);
      await new Promise((resolve) => waiting.push(() => resolve(undefined)));
    }
    return response.end('data: [DONE]\n\n');
  }
  const sha256 = createHash('sha256').update(body).digest('hex');
  return json(response, { method, path: url, sha256, length: body.length, rawHeaders });
}

/** @param {import('node:http').ServerResponse} response @param {unknown} value */
function json(response, value) {
  response.writeHead(200, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(value));
}
