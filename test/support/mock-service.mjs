/**
 * A service as a babysitter runs it: OpenAI's routes, with made-up answers that name the service. Flags choose faults.
 *
 *   node mock-service.mjs --name NAME --port N --models a,b [--registry-url URL] [--claims-next-port]
 *     [--exit-after-ms N] [--exit-at-once CODE] [--ignores-sigterm] [--spawns-child] [--silent] [--delay-ms N]
 *     [--dump-env FILE]
 */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import process from 'node:process';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    name: { type: 'string', default: 'mock' },
    port: { type: 'string', default: '0' },
    host: { type: 'string', default: '127.0.0.1' },
    models: { type: 'string', default: 'mock-model' },
    'registry-url': { type: 'string' },
    'claims-next-port': { type: 'boolean', default: false },
    'exit-after-ms': { type: 'string' },
    'exit-at-once': { type: 'string' },
    'ignores-sigterm': { type: 'boolean', default: false },
    'spawns-child': { type: 'boolean', default: false },
    silent: { type: 'boolean', default: false },
    'delay-ms': { type: 'string', default: '0' },
    'dump-env': { type: 'string' },
    words: { type: 'string' },
  },
});
const models = values.models.split(',');
const port = Number(values.port);

if (values['dump-env'] !== undefined)
  writeFileSync(values['dump-env'], JSON.stringify({ ...process.env, MOCK_WORDS: values.words }));
if (values['exit-at-once'] !== undefined) process.exit(Number(values['exit-at-once']));
if (values['ignores-sigterm']) process.on('SIGTERM', () => undefined);
if (values['spawns-child']) {
  const child = spawn(
    process.execPath,
    ['-e', 'setInterval(() => {}, 1000); process.on("SIGTERM", () => {})', values.name],
    {
      stdio: 'ignore',
    },
  );
  child.unref();
}

/** As InfiniLM-SVC's mock: listed before it listens. */
if (values['registry-url'] !== undefined) {
  await fetch(`${values['registry-url']}/services`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      name: values.name,
      host: '127.0.0.1',
      hostname: 'localhost',
      port,
      url: `http://127.0.0.1:${port}`,
      status: 'running',
      metadata: { type: 'openai-api', models, models_list: models.map((id) => ({ id, object: 'model' })) },
    }),
  }).catch(() => undefined);
}

if (values['claims-next-port'])
  await listen(
    createServer((_request, response) => json(response, 200, { status: 'healthy' })),
    port + 1,
  );

let count = 0;
const server = createServer((request, response) => {
  if (values.silent) return;
  void answer(request, response);
});
await listen(server, port);
if (values['exit-after-ms'] !== undefined) setTimeout(() => process.exit(3), Number(values['exit-after-ms']));

/** @param {import('node:http').IncomingMessage} request @param {import('node:http').ServerResponse} response */
async function answer(request, response) {
  /** @type {Buffer[]} */
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  if (request.url === '/v1/models')
    return json(response, 200, {
      object: 'list',
      data: models.map((id) => ({ id, object: 'model', created: 0 })),
    });
  if (request.url === '/health') return json(response, 200, { status: 'healthy', service: values.name });
  if (request.url !== '/v1/chat/completions') return json(response, 404, { error: { message: 'not found' } });
  count += 1;
  const { model, stream } = JSON.parse(Buffer.concat(chunks).toString());
  if (!models.includes(model))
    return json(response, 400, { error: { message: `Model ${model} not available` } });
  const content = `Hello from ${values.name} (model: ${model})`;
  const base = { id: `chatcmpl-${count}`, created: 0, model };
  const delayMs = Number(values['delay-ms']);
  if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
  if (stream !== true) {
    const message = { role: 'assistant', content };
    return json(response, 200, {
      ...base,
      object: 'chat.completion',
      choices: [{ index: 0, message, finish_reason: 'stop' }],
      usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
    });
  }
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  for (const character of content) {
    const choices = [{ index: 0, delta: { content: character }, finish_reason: null }];
    response.write(`data: ${JSON.stringify({ ...base, object: 'chat.completion.chunk', choices })}\n\n`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  response.end('data: [DONE]\n\n');
}

/** @param {import('node:http').ServerResponse} response @param {number} status @param {unknown} value */
function json(response, status, value) {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(value));
}

/** @param {import('node:http').Server} listener @param {number} at */
function listen(listener, at) {
  return new Promise((resolve) => listener.listen(at, values.host, () => resolve(undefined)));
}
