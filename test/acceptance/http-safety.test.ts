import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { hearthScope } from '../support/daemon.js';
import { gatewayOf, type GatewayUnderTest, serveGateway } from '../support/gateway.js';
import { ask, sendRaw } from '../support/http.js';
import { descendants, tcpPortsOf } from '../support/processes.js';

/** What keeps strangers, web pages and broken clients off the gateway. */

const say = { model: 'default', messages: [{ role: 'user', content: 'hello' }] };

describe('reach', () => {
  const hearth = hearthScope('test');

  test('S1: nothing serves HTTP unless it is asked for', async () => {
    const daemon = await hearth.serve();
    expect(daemon.stdout).not.toContain('http');
    expect(fs.existsSync(path.join(daemon.home.runtimeDir, 'http-token'))).toBe(false);
  });

  test.runIf(process.platform === 'linux')(
    'S1: neither the daemon nor its worker listens on TCP, and with the gateway on its port alone',
    async () => {
      const daemon = await hearth.serve({ plain: true });
      expect(descendants(daemon.pid)).not.toEqual([]);
      expect(tcpPortsOf(daemon.pid)).toEqual([]);
      await daemon.stop();
      const gateway = await serveGateway(hearth);
      expect(tcpPortsOf(gateway.daemon.pid)).toEqual([gateway.port]);
    },
  );

  test.each(['0.0.0.0:0', '[::]:0', '192.0.2.1:0', 'localhost.example:0', ':0', '[::ffff:127.0.0.1]:0'])(
    'rows 115, 170, S2: %s does not start without an explicit opt-in',
    async (address) => {
      const daemon = hearth.spawnServe({ args: ['--http', address] });
      expect(await daemon.end()).toMatchObject({ code: 2 });
      expect(daemon.stderr).toMatch(/other machines|address|HOST:PORT/);
    },
  );

  test('row 170: the opt-in serves other machines, and only with the token', async () => {
    const gateway = await serveGateway(hearth, { args: ['--http', '0.0.0.0:0', '--http-allow-remote'] });
    const url = `http://127.0.0.1:${gateway.port}/v1/models`;
    const headers = { Host: `0.0.0.0:${gateway.port}` };
    expect((await ask(url, { headers })).status).toBe(401);
    const known = { ...headers, Authorization: `Bearer ${gateway.token}` };
    expect((await ask(url, { headers: known })).status).toBe(200);
  });

  test('a port that is taken is a clear error, and leaves no token behind', async () => {
    const first = await serveGateway(hearth);
    const second = hearth.spawnServe({ args: ['--http', `127.0.0.1:${first.port}`] });
    expect(await second.end()).toMatchObject({ code: 4 });
    expect(second.stderr).toContain(`Port ${first.port}`);
    expect(fs.existsSync(path.join(second.home.runtimeDir, 'http-token'))).toBe(false);
  });

  test('S6: the token is made anew at every start, in a 0600 file, and shows nowhere else', async () => {
    const first = await serveGateway(hearth);
    const file = path.join(first.daemon.home.runtimeDir, 'http-token');
    expect(fs.statSync(file).mode & 0o777).toBe(0o600);
    expect(Buffer.from(first.token, 'base64url')).toHaveLength(32);
    const seen = ['cmdline', 'environ'].map((name) =>
      fs.readFileSync(`/proc/${first.daemon.pid}/${name}`, 'utf8'),
    );
    await first.daemon.stop();
    const { stdout, stderr, home } = first.daemon;
    const log = fs
      .readdirSync(home.logDir)
      .map((name) => fs.readFileSync(path.join(home.logDir, name), 'utf8'));
    for (const text of [...seen, stdout, stderr, ...log]) expect(text).not.toContain(first.token);
    expect(fs.existsSync(file)).toBe(false);
    const again = await serveGateway(hearth, { home });
    expect(again.token).not.toBe(first.token);
  });

  test('S6: a token of one’s own comes from the environment, by name; a weak or missing one is refused', async () => {
    const token = 'a-token-that-is-long-enough';
    const gateway = await serveGateway(hearth, { env: { HEARTH_HTTP_TOKEN: token } });
    expect(gateway.token).toBe('');
    const headers = { Authorization: `Bearer ${token}` };
    expect((await ask(`${gateway.url}/v1/models`, { headers })).status).toBe(200);

    const weak = hearth.spawnServe({ args: ['--http', '127.0.0.1:0'], env: { HEARTH_HTTP_TOKEN: 'short' } });
    expect(await weak.end()).toMatchObject({ code: 2 });
    expect(weak.stderr).toContain('at least 16');
    expect(weak.stderr).not.toContain('short');
    const home = hearth.makeHome();
    const file = path.join(home.root, 'hearth.json');
    fs.writeFileSync(file, JSON.stringify({ http: { address: '127.0.0.1:0', token_env: 'NOT_THERE' } }));
    const missing = hearth.spawnServe({ home, args: ['--config', file] });
    expect(await missing.end()).toMatchObject({ code: 2 });
    expect(missing.stderr).toContain('NOT_THERE');
  });
});

describe('a request from elsewhere', () => {
  const hearth = hearthScope('file');
  let shared: GatewayUnderTest | undefined;
  const gateway = async (): Promise<GatewayUnderTest> => {
    if (shared !== undefined) return shared;
    const home = hearth.makeHome();
    const file = path.join(home.root, 'hearth.json');
    const http = { address: '127.0.0.1:0', origins: ['https://chat.example'], body_limit: 65_536 };
    fs.writeFileSync(file, JSON.stringify({ http }));
    shared = await gatewayOf(hearth.spawnServe({ home, args: ['--config', file] }));
    return shared;
  };
  const authorized = ({ token }: GatewayUnderTest) => ({ Authorization: `Bearer ${token}` });

  test.each([undefined, 'Bearer ', 'Bearer wrong', 'Basic dXNlcjpwYXNz', 'bearer'])(
    'S28: the token %j opens nothing, on known and unknown paths alike',
    async (token) => {
      const { url } = await gateway();
      const headers = token === undefined ? {} : { Authorization: token };
      for (const target of ['/v1/models', '/v1/chat/completions', '/nothing/here', '/metrics', '/props']) {
        expect((await ask(url + target, { headers })).status, target).toBe(401);
      }
      expect((await ask(`${url}/v1/chat/completions`, { headers, body: say })).status).toBe(401);
    },
  );

  const hosts = [
    ...['evil.example', 'evil.127.0.0.1.nip.io', 'localhost.', '127.1', '127.0.0.1.', '0.0.0.0', '[::1]'],
    ...['127.0.0.1@evil.example', '127.0.0.1:x', ''],
  ];
  test.each(hosts)('S7: Host %j is refused on every method and path', async (host) => {
    const served = await gateway();
    for (const method of ['GET', 'POST', 'OPTIONS', 'HEAD', 'DELETE']) {
      for (const target of ['/v1/models', '/v1/chat/completions', '/health', '/nothing']) {
        const head = `${method} ${target} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${served.token}`;
        expect(await sendRaw(served.port, `${head}\r\n\r\n`), `${method} ${target}`).toMatch(
          /^HTTP\/1.1 40[03] /,
        );
      }
    }
  });

  test('S7: two Hosts, none, and an absolute target are refused; localhost is not', async () => {
    const { port, token, url } = await gateway();
    const rest = `Authorization: Bearer ${token}\r\n\r\n`;
    const refused = [
      `GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n${rest}`,
      `GET /v1/models HTTP/1.0\r\n${rest}`,
      `GET http://127.0.0.1/v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n${rest}`,
      `GET /v1/models HTTP/1.1\r\nHost: evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${rest}`,
    ];
    for (const bytes of refused) expect(await sendRaw(port, bytes)).toMatch(/^HTTP\/1.1 40[03] /);
    const headers = { Host: `localhost:${port}`, Authorization: `Bearer ${token}` };
    expect((await ask(`${url}/v1/models`, { headers })).status).toBe(200);
  });

  const origins = [
    ...['null', 'https://evil.example', 'https://chat.example.evil.example', 'https://xchat.example'],
    ...['http://chat.example', 'http://127.0.0.1', 'vscode-webview://1a2b'],
  ];
  test.each(origins)('S8: a page of origin %j is refused and may read nothing', async (origin) => {
    const served = await gateway();
    for (const method of ['GET', 'OPTIONS']) {
      const headers = { ...authorized(served), Origin: origin };
      const answer = await ask(`${served.url}/v1/models`, { method, headers });
      expect(answer.status).toBe(403);
      expect(answer.headers['access-control-allow-origin']).toBeUndefined();
    }
    const headers = { ...authorized(served), Referer: `${origin}/page` };
    expect((await ask(`${served.url}/v1/models`, { headers })).status).toBe(403);
  });

  test('S8: a page of a listed origin may ask, with the token', async () => {
    const served = await gateway();
    const Origin = 'https://chat.example';
    const preflight = await ask(`${served.url}/v1/chat/completions`, {
      method: 'OPTIONS',
      headers: { Origin },
    });
    expect([preflight.status, preflight.headers['access-control-allow-origin']]).toEqual([204, Origin]);
    expect(preflight.headers['access-control-allow-credentials']).toBeUndefined();
    expect((await ask(`${served.url}/v1/models`, { headers: { Origin } })).status).toBe(401);
    const answer = await ask(`${served.url}/v1/models`, { headers: { ...authorized(served), Origin } });
    expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([200, Origin]);
  });

  test.each([undefined, 'text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data'])(
    'S9: a body of type %j, which a page can send unasked, is refused',
    async (type) => {
      const served = await gateway();
      const body = JSON.stringify(say);
      const typed = type === undefined ? '' : `Content-Type: ${type}\r\n`;
      const answer = await sendRaw(
        served.port,
        `POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${served.token}\r\n` +
          `${typed}Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
      );
      expect(answer).toMatch(/^HTTP\/1.1 415 /);
    },
  );

  test('S10: what two readers could read differently is refused, and the connection ends', async () => {
    const { port, token } = await gateway();
    const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\n`;
    const json = 'Content-Type: application/json\r\n';
    const refused = [
      `${head}${json}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      `${head}${json}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`,
      `${head}${json}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
      `${head}${json}Content-Length: +2\r\n\r\n{}`,
      `${head}X Y: 1\r\n\r\n`,
      `GET /v1/models HTTP/1.1\nHost: 127.0.0.1\nX: \u0000\n\n`,
    ];
    for (const bytes of refused) expect(await sendRaw(port, bytes), bytes).toMatch(/^HTTP\/1.1 400 /);
    const long = `GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`;
    expect(await sendRaw(port, long)).toMatch(/^HTTP\/1.1 431 /);
  });

  test('row 108: a body over the limit is 413, declared or not, before it is read', async () => {
    const served = await gateway();
    const declared = await sendRaw(
      served.port,
      `POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${served.token}\r\n` +
        'Content-Type: application/json\r\nContent-Length: 104857600\r\n\r\n',
    );
    expect(declared).toMatch(/^HTTP\/1.1 413 /);
    const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`;
    const chunked = await sendRaw(
      served.port,
      `POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${served.token}\r\n` +
        `Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}${chunk}`,
    );
    expect(chunked).toMatch(/^HTTP\/1.1 413 /);
    expect((await ask(`${served.url}/v1/models`, { headers: authorized(served) })).status).toBe(200);
  });

  test('S11: bodies that are no JSON object, or too deep, are 400 and quote nothing', async () => {
    const served = await gateway();
    for (const body of [
      '',
      '[]',
      'secret-word',
      '"x"',
      '['.repeat(300),
      '{"a":"\ud800'.slice(0, 5),
      '\u0000',
    ]) {
      const bytes = Buffer.from(body);
      const answer = await ask(`${served.url}/v1/chat/completions`, {
        headers: authorized(served),
        body: bytes,
      });
      expect(answer.status).toBe(400);
      expect(String(answer.body)).not.toContain('secret-word');
    }
    const invalid = Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]);
    expect(
      (await ask(`${served.url}/v1/chat/completions`, { headers: authorized(served), body: invalid })).status,
    ).toBe(400);
  });

  test('methods and paths that are not there are 405 and 404, in the API’s own shape', async () => {
    const served = await gateway();
    const headers = authorized(served);
    const wrong = await ask(`${served.url}/v1/chat/completions`, { headers });
    expect([wrong.status, wrong.headers['allow']]).toEqual([405, 'POST']);
    const nowhere = await ask(`${served.url}/v1/nothing`, { headers });
    expect(nowhere.status).toBe(404);
    expect(nowhere.json).toMatchObject({ error: { type: 'invalid_request_error', code: 'not_found' } });
  });

  test('S10: a client that never finishes its head is cut off, and others are served meanwhile', async () => {
    const served = await gateway();
    const slow = net.connect(served.port, '127.0.0.1');
    slow.write('GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ');
    const ended = new Promise<string>((resolve) => {
      let text = '';
      slow.on('data', (chunk) => (text += String(chunk)));
      slow.once('close', () => resolve(text));
    });
    expect((await ask(`${served.url}/v1/models`, { headers: authorized(served) })).status).toBe(200);
    expect(await ended).toMatch(/^HTTP\/1.1 408 /);
  });
});
