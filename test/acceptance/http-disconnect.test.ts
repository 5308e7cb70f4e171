import net from 'node:net';
import type { Health } from '@hearth/protocol';
import { describe, expect, test } from 'vitest';
import { type HearthProcess, hearthScope } from '../support/daemon.js';
import { ask, type GatewayUnderTest, serveGateway, serveGatewayBefore } from '../support/gateway.js';
import { HeldService, patientDrain } from '../support/held-service.js';
import { addModel, storeOf } from '../support/model-store.js';
import { RpcPeer } from '../support/rpc-peer.js';
import { until } from '../support/wait.js';

/** What becomes of a request whose HTTP client goes away, and of requests when the daemon ends. */

const hearth = hearthScope('test');
const never = 600_000;
const chat = { messages: [{ role: 'user', content: 'hello' }] };
const apis = [
  ['/v1/chat/completions', { ...chat, stream: true }],
  ['/v1/chat/completions', chat],
  ['/v1/messages', { ...chat, max_tokens: 5, stream: true }],
  ['/api/chat', { ...chat, model: 'mock' }],
  ['/infill', { input_prefix: 'a', input_suffix: 'b' }],
] as const;

describe('a client that goes away', () => {
  test.each(apis)('row 169: %s while it waits: it is taken from the queue', async (target, body) => {
    const gateway = await serveGateway(hearth, { mock: { token_delay_ms: never } });
    const holder = leaving(gateway, '/v1/chat/completions', chat);
    await admission(gateway.daemon, { permitsInUse: 1, queued: 0 });
    const waiting = leaving(gateway, target, body);
    await admission(gateway.daemon, { permitsInUse: 1, queued: 1 });
    waiting.leave();
    await gateway.daemon.log.waitFor({ msg: 'request_cancelled', stage: 'queued' });
    await admission(gateway.daemon, { permitsInUse: 1, queued: 0 });
    holder.leave();
  });

  test.each(apis)('row 169: %s before its first token: its slot is free', async (target, body) => {
    const gateway = await serveGateway(hearth, { mock: { token_delay_ms: never } });
    const client = leaving(gateway, target, body);
    await admission(gateway.daemon, { permitsInUse: 1, queued: 0 });
    client.leave();
    await gateway.daemon.log.waitFor({ msg: 'request_cancelled', stage: 'prefill' });
    await admission(gateway.daemon, { permitsInUse: 0, queued: 0 });
  });

  test('row 169: with another request before it on its connection: both end', async () => {
    const gateway = await serveGateway(hearth, {
      mock: { token_delay_ms: never },
      args: ['--active-permits', '2'],
    });
    const body = JSON.stringify(chat);
    const request =
      `POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${gateway.token}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const socket = net.connect(gateway.port, '127.0.0.1');
    socket.write(request.repeat(2));
    await admission(gateway.daemon, { permitsInUse: 2, queued: 0 });
    socket.destroy();
    await admission(gateway.daemon, { permitsInUse: 0, queued: 0 });
    await gateway.daemon.log.waitFor({ msg: 'request_cancelled' }, { count: 2 });
    expect(gateway.daemon.log.matching({ msg: 'request_cancelled' })).toHaveLength(2);
  });

  test('row 169: with its half of the connection: it has left', async () => {
    const gateway = await serveGateway(hearth, { mock: { token_delay_ms: never } });
    const body = JSON.stringify(chat);
    const socket = net.connect(gateway.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${gateway.token}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    await admission(gateway.daemon, { permitsInUse: 1, queued: 0 });
    socket.end();
    await admission(gateway.daemon, { permitsInUse: 0, queued: 0 });
    socket.destroy();
  });

  test('row 169: while its model is loaded: it leaves the queue, and the load goes on for others', async () => {
    const home = hearth.makeHome();
    await addModel(storeOf(home), 'alpha');
    const gateway = await serveGateway(hearth, { home });
    const client = leaving(gateway, '/v1/chat/completions', { ...chat, model: 'alpha', max_tokens: 2000 });
    // Nothing runs, so what it waits for is the load.
    await admission(gateway.daemon, { permitsInUse: 0, queued: 1 });
    client.leave();
    await gateway.daemon.log.waitFor({ msg: 'request_cancelled', stage: 'queued' });
    await admission(gateway.daemon, { permitsInUse: 0, queued: 0 });
    const other = await ask(gateway, '/v1/chat/completions', { ...chat, model: 'alpha', max_tokens: 2 });
    expect(other.status).toBe(200);
    expect(gateway.daemon.log.matching({ msg: 'model_loaded' })).toHaveLength(1);
  });

  test('row 169: in mid-stream: its slot is free long before the next token', async () => {
    const gateway = await serveGateway(hearth, {
      mock: {
        script: [{ pieces: [{ text: 'first' }, ...Array.from({ length: 60 }, () => ({ text: 'more' }))] }],
        token_delay_ms: 300,
      },
    });
    const left = new AbortController();
    const response = await ask(
      gateway,
      '/v1/chat/completions',
      { ...chat, stream: true },
      { signal: left.signal },
    );
    const reader = response.body?.getReader();
    await reader?.read();
    left.abort();
    const record = await gateway.daemon.log.waitFor({ msg: 'request_cancelled', stage: 'decode' });
    expect(record['completion_tokens']).toBeLessThan(10);
    await admission(gateway.daemon, { permitsInUse: 0, queued: 0 });
  });
});

describe('the end of the daemon', () => {
  test('row 145: a stream that runs finishes, and what waits is told when to come back', async () => {
    const service = await HeldService.listen(['a', 'b', 'c']);
    const gateway = await serveGatewayBefore(hearth, service.server, { args: patientDrain });
    const running = await ask(gateway, '/v1/chat/completions', { ...chat, stream: true });
    const waiting = ask(gateway, '/v1/chat/completions', chat);
    await admission(gateway.daemon, { permitsInUse: 1, queued: 1 });
    gateway.daemon.signal('SIGTERM');
    const refused = await waiting;
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).not.toBeNull();
    expect(await refused.json()).toMatchObject({ error: { code: 'draining' } });
    service.release();
    const text = await running.text();
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
    expect(text.match(/"content":"[abc]"/g)).toHaveLength(3);
    expect(await gateway.daemon.end()).toMatchObject({ code: 0 });
  });
});

/** A request that its client will not wait for. */
function leaving(gateway: GatewayUnderTest, target: string, body: object): { leave(): void } {
  const gone = new AbortController();
  ask(gateway, target, body, { signal: gone.signal })
    .then((response) => response.text())
    .catch(() => undefined);
  return {
    leave: () => {
      gone.abort();
    },
  };
}

/** Resolves once as many run and wait. */
async function admission(
  daemon: HearthProcess,
  wanted: { readonly permitsInUse: number; readonly queued: number },
): Promise<void> {
  const peer = await RpcPeer.connect(daemon.home.rpcSocket);
  try {
    await until(
      async () => {
        const { result } = await peer.request('hearth/health');
        const { permitsInUse, queued } = (result as Health).admission;
        return permitsInUse === wanted.permitsInUse && queued === wanted.queued ? true : undefined;
      },
      () => `not ${wanted.permitsInUse} running and ${wanted.queued} waiting`,
    );
  } finally {
    peer.close();
  }
}
