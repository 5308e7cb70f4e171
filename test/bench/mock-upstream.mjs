import { createServer } from 'node:http';
import process from 'node:process';

/**
 * A service that answers chat completions as fast as it can, for `bench -- gateway`. Run as a process of its own; prints
 * its port. `max_tokens` is the number of tokens. Pieces follow each other by a millisecond where there are more than one.
 * A model named `slow` takes five milliseconds before it answers, and `fast` leaves no time between pieces.
 */

const piece = (/** @type {string} */ content, /** @type {string | null} */ finish = null) =>
  `data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', created: 0, model: 'm', choices: [{ index: 0, delta: { content }, finish_reason: finish }] })}\n\n`;

const server = createServer((request, response) => {
  if (request.url?.endsWith('/models') === true) {
    const data = ['steady', 'slow', 'fast'].map((id) => ({ id, object: 'model' }));
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify({ object: 'list', data }));
    return;
  }
  let text = '';
  request.setEncoding('utf8').on('data', (chunk) => (text += String(chunk)));
  request.on('end', () => {
    /** @type {{ max_tokens: number, stream?: boolean, model: string }} */
    const body = JSON.parse(text);
    if (body.model === 'slow') setTimeout(() => answer(response, body), 5);
    else answer(response, body);
  });
});

/**
 * @param {import('node:http').ServerResponse} response
 * @param {{ max_tokens: number, stream?: boolean, model: string }} body
 */
function answer(response, { max_tokens: count, stream, model }) {
  const usage = { prompt_tokens: 1, completion_tokens: count, total_tokens: count + 1 };
  if (stream !== true) {
    const message = { role: 'assistant', content: ' a'.repeat(count) };
    const choices = [{ index: 0, message, finish_reason: 'stop' }];
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify({ id: 'x', object: 'chat.completion', created: 0, model, choices, usage }));
    return;
  }
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  let sent = 0;
  const step = () => {
    do {
      response.write(piece(' a'));
      sent += 1;
    } while (sent < count && model === 'fast' && sent % 16 !== 0);
    if (sent < count) {
      if (model === 'fast') setImmediate(step);
      else setTimeout(step, 1);
      return;
    }
    const last = { id: 'x', object: 'chat.completion.chunk', created: 0, model, choices: [], usage };
    response.end(`${piece('', 'stop')}data: ${JSON.stringify(last)}\n\ndata: [DONE]\n\n`);
  };
  step();
}

server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.stdout.write(`${typeof address === 'object' && address !== null ? address.port : 0}\n`);
});
process.stdin.resume().once('close', () => process.exit(0));
