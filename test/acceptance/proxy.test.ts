import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { request as httpRequest } from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { type HearthProcess, hearthScope } from '../support/daemon.js';
import { ask, freePorts, sendRaw } from '../support/http.js';
import { within } from '../support/wait.js';

/** The port of a babysitter that passes on what it gets: `[proxy]`. */
const hearth = hearthScope('test');
const echo = fileURLToPath(new URL('../support/echo-service.mjs', import.meta.url));

interface Running {
  readonly process: HearthProcess;
  readonly url: string;
  readonly port: number;
}

async function proxy(settings: readonly string[] = [], args: readonly string[] = []): Promise<Running> {
  const home = hearth.makeHome();
  const servicePort = await freePorts();
  const port = await freePorts();
  const file = path.join(home.root, 'proxy.toml');
  const command = [echo, String(servicePort), ...args];
  fs.writeFileSync(
    file,
    [
      `port = ${servicePort}`,
      '[proxy]',
      `port = ${port}`,
      ...settings,
      '[backend]',
      'type = "command"',
      `command = ${JSON.stringify(process.execPath)}`,
      `args = ${JSON.stringify(command)}`,
    ].join('\n'),
  );
  const started = hearth.run(['babysit', '--config-file', file], { home });
  await started.printed(args.includes('--never') ? 'babysitter of' : 'service ready');
  return { process: started, url: `http://127.0.0.1:${port}`, port };
}

interface Echo {
  readonly method: string;
  readonly path: string;
  readonly sha256: string;
  readonly length: number;
  readonly rawHeaders: readonly string[];
}
const chat = '/v1/chat/completions';

describe('the transparent proxy', () => {
  test('row 105: the body arrives byte for byte, whatever is in it', async () => {
    const { url } = await proxy();
    const odd = Buffer.from(
      '{ "slot_id":3,"seed" : 0,"temperature":0.0, "x":1e3,"é":"\\u00e9", "a":1,"a":2 }\n',
    );
    for (const body of [odd, randomBytes(3_000_000), Buffer.from([0])]) {
      const answer = await ask(`${url}${chat}?a=%2F&b`, { body });
      const seen = answer.json as unknown as Echo;
      expect(seen).toMatchObject({ method: 'POST', path: `${chat}?a=%2F&b`, length: body.length });
      expect(seen.sha256).toBe(createHash('sha256').update(body).digest('hex'));
    }
  });

  test.each([200, 201, 400, 404, 422, 429, 500, 503])(
    'row 105: status %i, its type and its bytes come back as they are',
    async (status) => {
      const { url } = await proxy();
      const answer = await ask(`${url}/v1/status/${status}`, { body: {} });
      expect(answer.status).toBe(status);
      expect(answer.headers['content-type']).toBe('application/x-odd; v=1');
      expect([...answer.body]).toEqual([0, 1, 254, 255]);
    },
  );

  test('row 106: events come as they are sent, and [DONE] last', async () => {
    const { url } = await proxy();
    const request = httpRequest(`${url}/v1/stream`, {
      method: 'POST',
      agent: false,
      headers: { 'content-type': 'application/json' },
    });
    request.end('{}');
    const pieces: string[] = [];
    const ended = new Promise<void>((resolve, reject) => {
      request.on('error', reject).on('response', (response) => {
        response.setEncoding('utf8').on('data', (piece: string) => {
          pieces.push(piece);
          // The service sends the next event only once this one was seen.
          if (!piece.includes('DONE')) ask(`${url}/v1/go`, { body: {} }).catch(reject);
        });
        response.on('end', resolve);
      });
    });
    await within(ended, () => `the stream has not ended after ${pieces.join('')}`);
    expect(pieces).toEqual(['data: 1\n\n', 'data: 2\n\n', 'data: [DONE]\n\n']);
  });

  test('row 107: a service slower than the timeout is a 504, and a stream that stalls is ended', async () => {
    const { url } = await proxy(['timeout_secs = 0.4']);
    const since = performance.now();
    const late = await ask(`${url}/v1/slow`, { body: {} });
    expect(late.status).toBe(504);
    expect(performance.now() - since).toBeLessThan(30_000);
    await expect(within(ask(`${url}/v1/stall`, { body: {} }), () => 'it stalls')).rejects.toThrow(
      /aborted|hang up|ECONNRESET/,
    );
  });

  test('row 108: a body over the limit is a 413, at the limit it passes', async () => {
    const { url, port } = await proxy(['body_limit_bytes = 64']);
    expect((await ask(`${url}${chat}`, { body: Buffer.alloc(64, 97) })).status).toBe(200);
    expect((await ask(`${url}${chat}`, { body: Buffer.alloc(1024, 97) })).status).toBe(413);
    const chunked = `POST ${chat} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n100\r\n${'a'.repeat(256)}\r\n`;
    expect(await sendRaw(port, chunked)).toMatch(/^HTTP\/1.1 413 /);
  });

  test.each([0, 300 * 1024 * 1024])('row 108: a limit of %i bytes is a startup error', async (bytes) => {
    const home = hearth.makeHome();
    const file = path.join(home.root, 'bad.toml');
    fs.writeFileSync(
      file,
      `port = 9000\n[proxy]\nport = 9100\nbody_limit_bytes = ${bytes}\n[backend]\ntype = "command"\ncommand = "x"\n`,
    );
    const process = hearth.run(['babysit', '--config-file', file], { home });
    expect((await process.end()).code).toBe(2);
    expect(process.stderr).toContain('body_limit_bytes');
  });

  test('rows 109, 110: without a service it is an error and a health that is no 200, and it goes on', async () => {
    const { url, process } = await proxy([], ['--never']);
    expect((await ask(`${url}${chat}`, { body: {} })).status).toBe(503);
    const health = await ask(`${url}/health`);
    expect(health.status).toBe(503);
    expect(health.json).toMatchObject({ status: 'starting', warm_up_state: 'loading' });
    expect(process.hasExited).toBe(false);
  });

  test('row 110: health says ok and which model, once it is ready; metrics and other paths are not there', async () => {
    const { url } = await proxy();
    const answer = await ask(`${url}/health`);
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({ status: 'ok', warm_up_state: 'ready', backend: 'command' });
    for (const place of ['/metrics', '/', '/v1/../admin'])
      expect((await ask(`${url}${place}`)).status).toBe(404);
  });

  test('row 137: nothing of the connection is passed on', async () => {
    const { port } = await proxy();
    const bytes = `POST ${chat} HTTP/1.1\r\nHost: localhost\r\nConnection: close, X-Secret\r\nX-Secret: 1\r\nTE: trailers\r\nX-Mine: 1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`;
    const answer = await sendRaw(port, bytes);
    const seen = JSON.parse(answer.slice(answer.indexOf('{'), answer.lastIndexOf('}') + 1)) as Echo;
    const names = seen.rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
    expect(names).toContain('x-mine');
    for (const name of ['x-secret', 'te', 'expect']) expect(names).not.toContain(name);
  });

  test('a client that leaves ends its request at the service', async () => {
    const { url } = await proxy();
    const request = httpRequest(`${url}/v1/stall`, {
      method: 'POST',
      agent: false,
      headers: { 'content-type': 'application/json' },
    });
    request.on('error', () => undefined);
    request.end('{}');
    await new Promise<void>((resolve) =>
      request.once('response', (response) => response.once('data', () => resolve())),
    );
    request.destroy();
    // The service answers this one when the other has gone.
    expect(
      (await within(ask(`${url}/v1/until-gone`, { body: {} }), () => 'the service still writes')).json,
    ).toEqual({ gone: true });
  });
});
