import { describe, expect, test } from 'vitest';
import { type HearthProcess, hearthScope } from '../support/daemon.js';
import { ask, sendRaw } from '../support/http.js';
import { UpstreamServer } from '../support/upstream.js';

/** `hearth registry` as a process of its own. */
const hearth = hearthScope('test');

interface Running {
  readonly url: string;
  readonly port: number;
  readonly process: HearthProcess;
}

async function registry(
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<Running> {
  const process = hearth.run(['registry', '--port', '0', ...args], { env });
  await process.printed('hearth: registry on ');
  const url = /registry on (\S+)/.exec(process.stdout)?.[1] ?? '';
  return { url, port: Number(new URL(url).port), process };
}

const service = (name: string, more: object = {}) => ({
  name,
  host: 'localhost',
  hostname: 'localhost',
  port: 1,
  url: 'http://localhost:1',
  status: 'running',
  metadata: { type: 'openai-api', models: ['m'] },
  ...more,
});
const names = (list: unknown) => (list as { name: string }[]).map(({ name }) => name);

describe('row 123: registration', () => {
  test('a service registers with 201, is found under its name, is replaced and is removed', async () => {
    const { url } = await registry();
    const created = await ask(`${url}/services`, { body: service('one') });
    expect(created.status).toBe(201);
    expect(created.json).toMatchObject({
      message: "Service 'one' registered successfully",
      service: { name: 'one', status: 'running', is_healthy: true, health_status: 'unknown' },
    });
    expect((await ask(`${url}/services/one`)).json).toMatchObject({
      ...service('one'),
      timestamp: expect.stringMatching(/^\d{4}-/) as string,
      last_heartbeat: expect.any(Number) as number,
    });
    await ask(`${url}/services`, { body: service('one', { port: 2 }) });
    expect((await ask(`${url}/services`)).json).toMatchObject({ total: 1, services: [{ port: 2 }] });
    const changed = await ask(`${url}/services/one`, { method: 'PUT', body: { status: 'stopped' } });
    expect(changed.json).toMatchObject({ service: { status: 'stopped', is_healthy: false, port: 2 } });
    expect((await ask(`${url}/services/one`, { method: 'DELETE' })).status).toBe(200);
    expect((await ask(`${url}/services/one`)).status).toBe(404);
  });

  test.each(['name', 'host', 'port', 'hostname', 'url', 'status'])(
    'without %s it is a 400 that names it',
    async (field) => {
      const { url } = await registry();
      const answer = await ask(`${url}/services`, { body: { ...service('one'), [field]: undefined } });
      expect(answer.status).toBe(400);
      expect(answer.json['error']).toContain(field);
      expect((await ask(`${url}/services`)).json['total']).toBe(0);
    },
  );

  test.each(['', '/health', '/heartbeat'])('an unknown name is a 404 at %s', async (path) => {
    const { url } = await registry();
    const method = path === '/heartbeat' ? 'POST' : 'GET';
    expect((await ask(`${url}/services/nobody${path}`, { method })).status).toBe(404);
  });

  test.each([
    ['a name that leads elsewhere', { name: '../../etc/passwd' }],
    ['a name with a line feed', { name: 'a\nb' }],
    ['a port that is none', { port: 70_000 }],
    ['a url of another kind', { url: 'file:///etc/passwd' }],
    ['a url with a password', { url: 'http://a:b@localhost:1' }],
  ])('%s is a 400', async (_what, wrong) => {
    const { url } = await registry();
    expect((await ask(`${url}/services`, { body: service('one', wrong) })).status).toBe(400);
  });

  test('a service of another machine needs a registry with a token, and then the token', async () => {
    const far = service('far', { url: 'http://192.0.2.1:80' });
    const open = await registry();
    expect((await ask(`${open.url}/services`, { body: far })).status).toBe(403);
    const token = 'canary-token-0123456789';
    const closed = await registry(['--token-env', 'REGISTRY_TOKEN'], { REGISTRY_TOKEN: token });
    expect((await ask(`${closed.url}/services`, { body: far })).status).toBe(401);
    const wrong = { authorization: `Bearer ${token}x` };
    expect((await ask(`${closed.url}/services`, { body: far, headers: wrong })).status).toBe(401);
    const right = { authorization: `Bearer ${token}` };
    expect((await ask(`${closed.url}/services`, { body: far, headers: right })).status).toBe(201);
    expect(closed.process.stdout + closed.process.stderr).not.toContain(token);
  });
});

describe('rows 124 to 126: health, filters, counts', () => {
  test('row 124: a heartbeat may carry a status, and unhealthy services are told apart', async () => {
    const { url } = await registry();
    for (const name of ['a', 'b']) await ask(`${url}/services`, { body: service(name) });
    const beat = await ask(`${url}/services/a/heartbeat`, { body: { status: 'restarting' } });
    expect(beat.json).toMatchObject({ message: 'Heartbeat received' });
    expect((await ask(`${url}/services/b/heartbeat`, { method: 'POST' })).status).toBe(200);
    expect(names((await ask(`${url}/services?healthy=true`)).json['services'])).toEqual(['b']);
    expect(names((await ask(`${url}/services?healthy=false`)).json['services'])).toEqual(['a']);
    expect(names((await ask(`${url}/services?status=restarting`)).json['services'])).toEqual(['a']);
  });

  test('row 126: stats and health count what there is', async () => {
    const { url } = await registry();
    await ask(`${url}/services`, { body: service('a') });
    await ask(`${url}/services`, { body: service('b', { status: 'stopped', host: 'other' }) });
    expect((await ask(`${url}/stats`)).json).toMatchObject({
      total_services: 2,
      healthy_services: 1,
      unhealthy_services: 1,
      status_distribution: { running: 1, stopped: 1 },
      host_distribution: { localhost: 1, other: 1 },
      uptime: expect.any(Number) as number,
    });
    expect((await ask(`${url}/health`)).json).toMatchObject({
      status: 'healthy',
      registry: 'running',
      registered_services: 2,
      healthy_services: 1,
    });
  });

  test('a service that answers with 500, and one that is not there, are found unhealthy by a probe of itself', async () => {
    const server = await UpstreamServer.listen((response) => {
      response.writeHead(500).end();
    });
    try {
      const { url } = await registry(['--health-interval', '0.1']);
      const sick = service('sick', { port: server.port, url: server.url });
      await ask(`${url}/services`, { body: sick });
      expect((await ask(`${url}/services/sick/health`)).json).toMatchObject({
        service: 'sick',
        health_status: 'unhealthy',
        is_healthy: false,
      });
      server.answer = (response) => {
        response.writeHead(404).end();
      };
      expect((await ask(`${url}/services/sick/health`)).json).toMatchObject({ health_status: 'healthy' });
      await server.close();
      // The timer's own probe finds it gone: the reader that waits for a change is told.
      await waitFor(url, ({ services }) => !(services[0] as { is_healthy: boolean }).is_healthy);
    } finally {
      await server.close().catch(() => undefined);
    }
  });

  test('a reader that names the revision it knows is answered by the next change, and not before', async () => {
    const { url } = await registry();
    const { revision } = (await ask(`${url}/services`)).json;
    const waiting = ask(`${url}/services?healthy=true&after=${String(revision)}&wait=15`);
    let answered = false;
    void waiting.then(() => {
      answered = true;
    });
    await ask(`${url}/health`);
    expect(answered).toBe(false);
    await ask(`${url}/services`, { body: service('new') });
    expect(names((await waiting).json['services'])).toEqual(['new']);
  });
});

async function waitFor(
  url: string,
  isThere: (list: { services: readonly unknown[] }) => boolean,
): Promise<void> {
  let query = '';
  for (;;) {
    const { json } = await ask(`${url}/services${query}`);
    if (isThere(json as unknown as { services: readonly unknown[] })) return;
    query = `?after=${String(json['revision'])}&wait=10`;
  }
}

describe('hostile requests', () => {
  test('row 115: an address that others reach is refused without a token, and a nonsense one always', async () => {
    for (const host of [
      '0.0.0.0',
      '::',
      '::ffff:127.0.0.1',
      '255.255.255.255',
      '224.0.0.1',
      'example.com',
      '',
    ]) {
      const process = hearth.run(['registry', '--port', '0', '--host', host]);
      expect(await process.end(), host).toMatchObject({ code: 2 });
    }
  });

  test.each([
    ['S7: another Host', 'GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n', 403],
    ['S7: a name that resolves here', 'GET /health HTTP/1.1\r\nHost: evil.127.0.0.1.nip.io\r\n\r\n', 403],
    ['S7: a dot at the end', 'GET /health HTTP/1.1\r\nHost: localhost.\r\n\r\n', 403],
    ['S7: a short form', 'GET /health HTTP/1.1\r\nHost: 127.1\r\n\r\n', 403],
    ['S7: two Hosts', 'GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n', 400],
    ['S7: no Host', 'GET /health HTTP/1.1\r\n\r\n', 400],
    ['S7: no Host in HTTP/1.0', 'GET /health HTTP/1.0\r\n\r\n', 400],
    ['S7: an absolute target', 'GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n', 400],
    ['S7: OPTIONS', 'OPTIONS /services HTTP/1.1\r\nHost: evil.example\r\n\r\n', 403],
    ['S7: HEAD', 'HEAD /nothing HTTP/1.1\r\nHost: evil.example\r\n\r\n', 403],
    [
      'S7: an upgrade',
      'GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n',
      403,
    ],
    [
      'S8: a web page',
      'GET /health HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n\r\n',
      403,
    ],
    ['S8: null', 'GET /health HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\r\n', 403],
    ['S8: a webview', 'GET /health HTTP/1.1\r\nHost: localhost\r\nOrigin: vscode-webview://x\r\n\r\n', 403],
    [
      'S8: only a Referer',
      'GET /stats HTTP/1.1\r\nHost: localhost\r\nReferer: http://evil.example/\r\n\r\n',
      403,
    ],
    [
      'S9: text',
      'POST /services HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}',
      415,
    ],
    [
      'S9: a form',
      'POST /services HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 2\r\n\r\n{}',
      415,
    ],
    ['S9: no type', 'POST /services HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}', 415],
    [
      'S10: length and chunks',
      'POST /services HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
    ],
    [
      'S10: two lengths',
      'POST /services HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}',
      400,
    ],
    ['S10: a bare line feed', 'GET /health HTTP/1.1\nHost: localhost\n\n', 400],
    ['S10: a huge head', `GET /health HTTP/1.1\r\nHost: localhost\r\nX: ${'a'.repeat(70_000)}\r\n\r\n`, 431],
    [
      'a body over the limit',
      'POST /services HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 104857600\r\n\r\n',
      413,
    ],
    ['a wrong method', 'DELETE /stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', 405],
    [
      'an encoded path',
      'GET /services/%2e%2e%2fetc HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
      404,
    ],
    ['a broken encoding', 'GET /services/%zz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', 400],
  ])('%s', async (what, bytes, status) => {
    const { port } = await shared();
    // HTTP/1.1 keeps connections: what is refused for a reason that may be met again ends with the next request.
    const closing =
      bytes.includes('\n\n') || bytes.includes('Connection: ')
        ? bytes
        : bytes.replace('\r\n', '\r\nConnection: close\r\n');
    const answer = await sendRaw(port, closing);
    expect(answer, what).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(answer).not.toMatch(/access-control-allow-origin/i);
  });

  test('S10: a head that never ends is ended by the server', async () => {
    const { port } = await shared();
    const since = performance.now();
    expect(await sendRaw(port, 'GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ')).toMatch(
      /^HTTP\/1.1 408 |^$/,
    );
    expect(performance.now() - since).toBeLessThan(40_000);
  });

  test('a chunked body over the limit is cut off, and memory does not grow with it', async () => {
    const { port } = await shared();
    const head =
      'POST /services HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n';
    const chunk = `100000\r\n${'a'.repeat(0x100000)}\r\n`;
    expect(await sendRaw(port, head + chunk.repeat(3))).toMatch(/^HTTP\/1.1 413 /);
  });
});

const file = hearthScope('file');
let started: Promise<{ readonly port: number }> | undefined;
/** One registry for all tests that only send it bad bytes. */
function shared(): Promise<{ readonly port: number }> {
  started ??= (async () => {
    const process = file.run(['registry', '--port', '0']);
    await process.printed('hearth: registry on ');
    return { port: Number(/registry on \S+:(\d+)/.exec(process.stdout)?.[1]) };
  })();
  return started;
}
