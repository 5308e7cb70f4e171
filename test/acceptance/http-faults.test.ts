import net from 'node:net';
import { once } from 'node:events';
import type { Health } from '@hearth/protocol';
import { afterEach, describe, expect, test } from 'vitest';
import { hearthScope } from '../support/daemon.js';
import { ask, type GatewayUnderTest, serveGateway, serveGatewayBefore } from '../support/gateway.js';
import { sendRaw } from '../support/http.js';
import { RpcPeer } from '../support/rpc-peer.js';
import { type Answer, chunk, completions, UpstreamServer } from '../support/upstream.js';
import { until } from '../support/wait.js';

/** What clients of the gateway get where a service, or they themselves, are too slow; and what is told of who was turned away. */

const hearth = hearthScope('test');
let servers: UpstreamServer[] = [];

afterEach(async () => {
  const ended = servers;
  servers = [];
  await Promise.all(ended.map((server) => server.close()));
});

const chat = { messages: [{ role: 'user', content: 'hello' }] };

/** A gateway before a service that lists its model and then does as `answer` says. */
async function gatewayBefore(
  answer: Answer,
  backend: object = { timeout_secs: 0.4 },
  args: readonly string[] = [],
): Promise<GatewayUnderTest> {
  const listed = completions([]);
  const server = await UpstreamServer.listen((response, seen) =>
    seen.path === '/v1/models' ? listed(response, seen) : answer(response, seen),
  );
  servers.push(server);
  return serveGatewayBefore(hearth, server, { backend: { ...backend }, args });
}

async function health({ daemon }: GatewayUnderTest): Promise<Health> {
  const peer = await RpcPeer.connect(daemon.home.rpcSocket);
  try {
    return (await peer.request('hearth/health'))['result'] as Health;
  } finally {
    peer.close();
  }
}

describe('a service that is too slow', () => {
  test('row 107: one that does not begin to answer is 504 in each API’s shape, streamed or not', async () => {
    const gateway = await gatewayBefore(() => undefined);
    const questions = [
      ['/v1/chat/completions', chat, { error: { code: 'backend_unavailable' } }],
      ['/v1/chat/completions', { ...chat, stream: true }, { error: { code: 'backend_unavailable' } }],
      ['/v1/messages', { ...chat, max_tokens: 5 }, { type: 'error', error: { type: 'timeout_error' } }],
      ['/api/chat', { ...chat, model: 'default' }, { error: expect.any(String) as unknown }],
    ] as const;
    // One after another: three failures open the breaker, which is told otherwise.
    for (const [target, body, told] of questions.slice(0, 2)) {
      const answer = await ask(gateway, target, body);
      expect(answer.status, target).toBe(504);
      expect(await answer.json(), target).toMatchObject(told);
    }
    const other = await gatewayBefore(() => undefined);
    for (const [target, body, told] of questions.slice(2)) {
      const answer = await ask(other, target, body);
      expect(answer.status, target).toBe(504);
      expect(await answer.json(), target).toMatchObject(told);
    }
  });

  test('row 107: one that falls silent in mid-stream ends the stream with an error, and without [DONE]', async () => {
    // Long enough for the first word to come in time on a busy machine.
    const gateway = await gatewayBefore(
      (response) => {
        response.writeHead(200, { 'Content-Type': 'text/event-stream' });
        response.write(chunk('first'));
      },
      { timeout_secs: 3 },
    );
    const answer = await ask(gateway, '/v1/chat/completions', { ...chat, stream: true });
    expect(answer.status).toBe(200);
    const text = await answer.text();
    expect(text).toContain('"content":"first"');
    expect(text).not.toContain('[DONE]');
    const last = text.trimEnd().split('\n').at(-1) ?? '';
    expect(JSON.parse(last.slice('data: '.length))).toMatchObject({ error: { code: 'backend_unavailable' } });
  });
});

test('row 72: a client that does not read is cut off after the write timeout, and its slot is free', async () => {
  let sent = 0;
  const gateway = await gatewayBefore(
    async (response, { closed }) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      for (; !response.destroyed && sent < 2000; sent += 1) {
        if (!response.write(chunk('x'.repeat(65_536)))) await Promise.race([once(response, 'drain'), closed]);
      }
    },
    { timeout_secs: 60 },
    ['--write-timeout-secs', '1'],
  );
  const body = JSON.stringify({ ...chat, stream: true });
  const slow = net.connect(gateway.port, '127.0.0.1').pause();
  slow.on('error', () => undefined);
  slow.write(
    `POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${gateway.token}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  await gateway.daemon.log.waitFor({ msg: 'request_cancelled', stage: 'decode' });
  // The service was held up too: 125 MiB were not read into memory.
  expect(sent).toBeLessThan(1000);
  await until(
    async () => ((await health(gateway)).admission.permitsInUse === 0 ? true : undefined),
    () => 'its slot is not free',
  );
  slow.destroy();
  if (!slow.closed) await once(slow, 'close');
});

test('who is turned away is counted and told of, by status and without content', async () => {
  const gateway = await serveGateway(hearth);
  const canary = 'canary-of-refusals';
  expect((await ask(gateway, `/v1/${canary}`)).status).toBe(404);
  const wrong = { Authorization: `Bearer ${canary}` };
  expect((await ask(gateway, '/v1/models', undefined, { headers: wrong })).status).toBe(401);
  for (let index = 0; index < 3; index += 1)
    expect(await sendRaw(gateway.port, `GET / HTTP/1.1\r\nHost: ${canary}\r\n\r\n`)).toMatch(
      /^HTTP\/1.1 403 /,
    );
  expect(await sendRaw(gateway.port, `GET /${canary}\nHost: x\n\n`)).toMatch(/^HTTP\/1.1 400 /);
  for (const status of [400, 401, 403, 404])
    await gateway.daemon.log.waitFor({ msg: 'http_refused', level: 'warn', status, count: 1 });
  const { log } = gateway.daemon;
  await until(
    async () => {
      const told = log.matching({ msg: 'http_refused', status: 403 });
      return told.reduce((sum, record) => sum + Number(record['count']), 0) === 3 ? true : undefined;
    },
    () => 'three refusals were not told',
  );
  expect(JSON.stringify(log.matching({}))).not.toContain(canary);
});
