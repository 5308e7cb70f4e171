import fs from 'node:fs';
import { request as httpRequest } from 'node:http';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type HearthProcess, hearthScope } from '../support/daemon.js';
import { type Answered, ask, freePorts, sendRaw } from '../support/http.js';
import { memory } from '../support/processes.js';
import { type Answer, json, UpstreamServer } from '../support/upstream.js';
import { until, within } from '../support/wait.js';

/** `hearth router` as a process of its own, before services that the test controls. */
const hearth = hearthScope('test');
let servers: UpstreamServer[] = [];

afterEach(async () => {
  const ended = servers;
  servers = [];
  await Promise.all(ended.map((server) => server.close().catch(() => undefined)));
});

interface Service {
  readonly name: string;
  readonly server: UpstreamServer;
}
/** What the router is told of a service. */
interface Listed {
  readonly name: string;
  readonly server: Pick<UpstreamServer, 'port'>;
  readonly metadata?: object;
  readonly weight?: number;
}

/** A service that is well and says who it is. */
async function service(name: string, answer?: Answer): Promise<Service> {
  const server = await UpstreamServer.listen((response, seen) => {
    if (seen.path === '/health') json(response, 200, { status: 'ok' });
    else if (answer === undefined)
      json(response, 200, { choices: [], from: name, model: modelOf(seen.body) });
    else return answer(response, seen);
    return undefined;
  });
  servers.push(server);
  return { name, server };
}

const modelOf = (body: Buffer): unknown => (JSON.parse(body.toString()) as { model: unknown }).model;

interface Running {
  readonly url: string;
  readonly port: number;
  readonly process: HearthProcess;
}

interface Setup {
  readonly services?: readonly Listed[];
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** How many of the services are to be healthy before the test goes on. Default: all. */
  readonly healthy?: number;
}

async function router({
  services = [],
  args = [],
  env = {},
  healthy = services.length,
}: Setup = {}): Promise<Running> {
  const home = hearth.makeHome();
  const file = path.join(home.root, 'services.json');
  const list = services.map(({ name, server, metadata = { models: ['m'] }, weight = 1 }) => ({
    name,
    host: '127.0.0.1',
    port: server.port,
    weight,
    metadata,
  }));
  fs.writeFileSync(file, JSON.stringify({ services: list }));
  const flags = ['--router-port', '0', '--static-services', file, ...args];
  const process = hearth.run(['router', ...flags], { home, env });
  await process.printed('hearth: router on ');
  const url = /router on (\S+)/.exec(process.stdout)?.[1] ?? '';
  await untilHealthy(url, healthy);
  return { url, port: Number(new URL(url).port), process };
}

interface ServiceView {
  readonly name: string;
  readonly healthy: boolean;
  readonly circuit: string;
  readonly request_count: number;
  readonly error_count: number;
  readonly outstanding: number;
}
const viewed = async (url: string): Promise<readonly ServiceView[]> =>
  (await ask(`${url}/services`)).json['services'] as readonly ServiceView[];

async function untilHealthy(url: string, count: number): Promise<void> {
  await until(
    async () => ((await viewed(url)).filter(({ healthy }) => healthy).length === count ? true : undefined),
    () => `there are not ${count} healthy services`,
  );
}

/** Resolves once so many requests are out at services: the router knows of an end a moment after its client. */
async function outstandingIs(url: string, count: number): Promise<void> {
  await until(
    async () => {
      const all = (await viewed(url)).reduce((sum, { outstanding }) => sum + outstanding, 0);
      return all === count ? true : undefined;
    },
    () => `there are not ${count} requests at services`,
  );
}

const complete = (
  url: string,
  body: object = {},
  headers: Readonly<Record<string, string>> = {},
): Promise<Answered> =>
  ask(`${url}/v1/chat/completions`, { body: { model: 'm', messages: [], ...body }, headers });
const from = ({ json: body }: Answered): unknown => body['from'];
const decision = ({ headers }: Answered): string => String(headers['x-hearth-decision']);

describe('who serves', () => {
  test('rows 129, 138: the endpoints have the shapes of InfiniLM-SVC; models are merged, sorted and of the healthy', async () => {
    const [a, b] = [await service('a'), await service('b')];
    const gone = { name: 'gone', server: { port: await freePorts() } };
    const { url } = await router({
      services: [
        { ...a, metadata: { models: ['z', 'shared'], models_list: [{ id: 'z', owned_by: 'me' }] } },
        { ...b, metadata: { models: ['shared', 'b'] } },
        { ...gone, metadata: { models: ['lost'] } },
      ],
      healthy: 2,
    });
    const models = (await ask(`${url}/models`)).json;
    expect(models).toMatchObject({
      object: 'list',
      data: [{ id: 'b' }, { id: 'shared' }, { id: 'z', owned_by: 'me' }],
    });
    expect((await ask(`${url}/v1/models`)).json).toEqual(models);
    for (const place of ['/health', '/status']) {
      expect((await ask(`${url}${place}`)).json).toMatchObject({
        status: 'healthy',
        router: 'running',
        healthy_services: '2/3',
        registry_url: null,
        timestamp: expect.any(Number) as number,
      });
    }
    expect((await ask(`${url}/services`)).json).toMatchObject({
      total: 3,
      registry_url: null,
      services: [
        {
          name: 'a',
          host: '127.0.0.1',
          port: a.server.port,
          url: a.server.url,
          babysitter_url: `http://127.0.0.1:${a.server.port + 1}`,
          healthy: true,
          request_count: 0,
          error_count: 0,
          response_time: 0,
          weight: 1,
          models: ['z', 'shared'],
          metadata: { type: 'openai-api', static: true },
        },
        { name: 'b' },
        { name: 'gone', healthy: false },
      ],
    });
    expect((await ask(`${url}/stats`)).json).toMatchObject({ total_services: 3, healthy_services: 2 });
  });

  test('health is no 200 while nobody can serve', async () => {
    const { url } = await router();
    const health = await ask(`${url}/health`);
    expect(health.status).toBe(503);
    expect(health.json).toMatchObject({ status: 'running', message: 'No healthy services available' });
  });

  test('row 130: a model reaches only services that have it, and the header says why', async () => {
    const [a, b] = [await service('a'), await service('b')];
    const { url } = await router({
      services: [
        { ...a, metadata: { models: ['model-a', 'shared'] } },
        { ...b, metadata: { models: ['model-b', 'shared'] } },
      ],
    });
    for (let turn = 0; turn < 6; turn += 1) {
      const answer = await complete(url, { model: 'model-a' });
      expect(answer.json).toMatchObject({ from: 'a', model: 'model-a' });
      expect(decision(answer)).toBe('service=a; by=round-robin; candidates=1; attempt=1');
    }
    expect(b.server.asked('/v1/chat/completions')).toHaveLength(0);
  });

  test('row 131: 100 requests are 50 and 50, and by weight 75 and 25, while another model has traffic', async () => {
    const [a, b] = [await service('a'), await service('b')];
    const even = await router({
      services: [
        { ...a, metadata: { models: ['m', 'only-a'] } },
        { ...b, metadata: { models: ['m'] } },
      ],
    });
    const counts = { a: 0, b: 0 };
    for (let turn = 0; turn < 100; turn += 1) {
      const [answer] = await Promise.all([
        complete(even.url),
        turn % 3 === 0 ? complete(even.url, { model: 'only-a' }) : undefined,
      ]);
      counts[from(answer) as 'a' | 'b'] += 1;
    }
    expect(Math.abs(counts.a - 50)).toBeLessThanOrEqual(1);
    const uneven = await router({ services: [{ ...a, weight: 3 }, b] });
    const answers = await Promise.all(Array.from({ length: 100 }, () => complete(uneven.url)));
    expect(answers.filter((answer) => from(answer) === 'a')).toHaveLength(75);
    // Counted once a request (trap 16).
    const total = (await viewed(uneven.url)).reduce((sum, one) => sum + one.request_count, 0);
    expect(total).toBe(100);
  });

  test('row 132: a model that nobody has is a 503 that names it, whatever it is called', async () => {
    const { url } = await router({ services: [await service('a')] });
    const answer = await complete(url, { model: 'no-"such"-model' });
    expect(answer.status).toBe(503);
    expect(answer.json).toEqual({ error: `No healthy services available for model 'no-"such"-model'` });
  });

  test('row 133: a prompt_cache_key stays with its service; a service more moves about 1 in n keys, all to itself', async () => {
    const services = [await service('a'), await service('b'), await service('c')];
    const keys = Array.from({ length: 60 }, (_, index) => `key-${index}`);
    const homes = async (url: string) =>
      Object.fromEntries(
        await Promise.all(
          keys.map(async (key) => [key, from(await complete(url, { prompt_cache_key: key }))] as const),
        ),
      );
    const three = await router({ services });
    const before = await homes(three.url);
    expect(await homes(three.url)).toEqual(before);
    expect(decision(await complete(three.url, { prompt_cache_key: 'k' }))).toContain('by=session');
    const four = await router({ services: [...services, await service('d')] });
    const after = await homes(four.url);
    const moved = keys.filter((key) => before[key] !== after[key]);
    expect(moved.length).toBeLessThan(keys.length / 2);
    expect(moved.every((key) => after[key] === 'd')).toBe(true);
  });

  test('row 134: more text than the threshold goes to the static pool, less to the paged one', async () => {
    const [small, large] = [await service('small'), await service('large')];
    const pools = [
      { ...small, metadata: { models: ['m'], cache_type: 'paged' } },
      { ...large, metadata: { models: ['m'], cache_type: 'static' } },
    ];
    const { url } = await router({ services: pools, env: { CACHE_TYPE_ROUTING_THRESHOLD: '1000' } });
    const messages = (length: number) => [{ role: 'user', content: 'x'.repeat(length) }];
    expect(from(await complete(url, { messages: messages(1000) }))).toBe('small');
    const big = await complete(url, { messages: messages(1001) });
    expect(from(big)).toBe('large');
    expect(decision(big)).toContain('pool=static');
  });

  test('prefix: a conversation goes where its beginning was served', async () => {
    const services = [await service('a'), await service('b'), await service('c')];
    const { url } = await router({ services, args: ['--balance', 'prefix'] });
    const start = (letter: string) => [{ role: 'user', content: letter.repeat(2000) }];
    const homes = new Map<string, unknown>();
    for (const letter of ['p', 'q', 'r'])
      homes.set(letter, from(await complete(url, { messages: start(letter) })));
    expect(new Set(homes.values()).size).toBe(3);
    for (const letter of ['r', 'p', 'q']) {
      const longer = [
        ...start(letter),
        { role: 'assistant', content: 'ok' },
        { role: 'user', content: 'go on' },
      ];
      const answer = await complete(url, { messages: longer });
      expect(from(answer)).toBe(homes.get(letter));
      expect(decision(answer)).toMatch(/by=prefix; .*matched_blocks=7/);
    }
  });

  test('least outstanding: who is busy is passed over', async () => {
    let release: () => void = () => undefined;
    const slow = await service('slow', (response) => {
      release = () => json(response, 200, { from: 'slow' });
    });
    const quick = await service('quick');
    const { url } = await router({ services: [slow, quick], args: ['--balance', 'least-outstanding'] });
    const first = complete(url);
    const other = complete(url);
    await slow.server.request('/v1/chat/completions');
    await Promise.race([first, other]);
    await outstandingIs(url, 1);
    for (let turn = 0; turn < 5; turn += 1) expect(from(await complete(url))).toBe('quick');
    release();
    await Promise.all([first, other]);
    await outstandingIs(url, 0);
  });
});

describe('when something fails', () => {
  test('row 135: who refuses is not asked again, another serves, and the header says so', async () => {
    const [a, b] = [await service('a'), await service('b')];
    const { url } = await router({ services: [a, b], args: ['--health-interval', '60'] });
    await a.server.close();
    const answers = [await complete(url), await complete(url)];
    expect(answers.map(from)).toEqual(['b', 'b']);
    expect(answers.map(decision).join()).toContain('attempt=2');
  });

  test('row 135: a service that breaks off before its first byte is replaced; at most three are asked', async () => {
    const breaks: Answer = (response) => void response.destroy();
    const services = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((name) => service(name, breaks)));
    const { url } = await router({ services });
    const answer = await complete(url);
    expect(answer.status).toBe(502);
    expect(services.flatMap(({ server }) => server.asked('/v1/chat/completions'))).toHaveLength(3);
  });

  test.each([500, 502, 503, 400, 429])(
    'row 135: status %i of a service is passed on, with one attempt',
    async (status) => {
      const services = await Promise.all(
        ['a', 'b'].map((name) =>
          service(name, (response) => json(response, status, { error: { message: 'theirs' } })),
        ),
      );
      const { url } = await router({ services });
      const answer = await complete(url);
      expect(answer.status).toBe(status);
      expect(answer.json).toEqual({ error: { message: 'theirs' } });
      expect(services.flatMap(({ server }) => server.asked('/v1/chat/completions'))).toHaveLength(1);
    },
  );

  test('row 135: after the first byte nothing is tried again, and the client sees the break', async () => {
    const breaks: Answer = (response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write('data: 1\n\n', () => response.destroy());
    };
    const services = await Promise.all(['a', 'b'].map((name) => service(name, breaks)));
    const { url } = await router({ services });
    await expect(complete(url)).rejects.toThrow(/aborted|hang up|ECONNRESET/);
    expect(services.flatMap(({ server }) => server.asked('/v1/chat/completions'))).toHaveLength(1);
  });

  test('row 136: timeout is 504 and is not tried again, refused is 503, broken is 502', async () => {
    const silent = await service('silent', () => undefined);
    const other = await service('other', () => undefined);
    const slow = await router({ services: [silent, other], env: { PROXY_TIMEOUT_SECONDS: '0.3' } });
    expect((await complete(slow.url)).status).toBe(504);
    expect([silent, other].flatMap(({ server }) => server.asked('/v1/chat/completions'))).toHaveLength(1);

    const refusing = await service('refusing');
    const alone = await router({ services: [refusing], args: ['--health-interval', '60'] });
    await refusing.server.close();
    expect((await complete(alone.url)).status).toBe(503);

    const broken = await service('broken', (response) => {
      response.socket?.end('this is no HTTP\r\n\r\n');
    });
    const bad = await router({ services: [broken] });
    expect((await complete(bad.url)).status).toBe(502);
  });

  test('an answer that falls silent is ended', async () => {
    const stalls = await service('stalls', (response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write('data: 1\n\n');
    });
    const { url } = await router({ services: [stalls], args: ['--idle-timeout', '0.3'] });
    await expect(within(complete(url), () => 'it still waits')).rejects.toThrow(/aborted|hang up|ECONNRESET/);
  });

  test('row 139: max_errors failures in a row make a service unhealthy, and one success healthy', async () => {
    let status = 200;
    const server = await UpstreamServer.listen((response, { path: at }) =>
      json(response, at === '/health' ? status : 200, { from: 'a' }),
    );
    servers.push(server);
    const { url } = await router({
      services: [{ name: 'a', server }],
      args: ['--health-interval', '0.2', '--max-errors', '2'],
    });
    status = 500;
    await untilHealthy(url, 0);
    expect((await complete(url)).status).toBe(503);
    status = 200;
    await untilHealthy(url, 1);
    expect((await complete(url)).status).toBe(200);
  });

  test('the breaker opens after three transport failures, a 5xx or a client that leaves does not count so', async () => {
    let mode: 'break' | 'fail' | 'hang' = 'fail';
    const flaky = await service('flaky', (response) => {
      if (mode === 'break') response.destroy();
      else if (mode === 'fail') json(response, 500, {});
    });
    const { url } = await router({ services: [flaky], args: ['--health-interval', '60'] });
    for (let turn = 0; turn < 3; turn += 1) expect((await complete(url)).status).toBe(500);
    expect((await viewed(url))[0]?.circuit).toBe('closed');
    mode = 'hang';
    for (let turn = 1; turn <= 5; turn += 1) {
      const leaving = httpRequest(`${url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
      });
      leaving.on('error', () => undefined);
      leaving.end('{"model":"m"}');
      const asked = await flaky.server.request('/v1/chat/completions', 3 + turn);
      leaving.destroy();
      await within(asked.closed, () => 'the service still works for a client that has left');
    }
    await outstandingIs(url, 0);
    expect((await viewed(url))[0]).toMatchObject({ circuit: 'closed' });
    mode = 'break';
    expect((await complete(url)).status).toBe(502);
    expect((await viewed(url))[0]?.circuit).toBe('open');
    const refused = await complete(url);
    expect(refused.status).toBe(503);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
  });
});

describe('what goes through', () => {
  test('row 137: fields of one connection, Host and length are not passed on; the rest is, byte for byte', async () => {
    const one = await service('one', (response) => {
      response.writeHead(201, {
        'X-Theirs': 'yes',
        'Keep-Alive': 'timeout=9',
        'Set-Cookie': ['a=1', 'b=2'],
        Trailer: 'x',
      });
      response.end(Buffer.from([0, 255, 10, 13]));
    });
    const { url, port } = await router({ services: [one] });
    const body = '{"model":"m",  "odd" : [1.0, 1e3, "\\u00fc"]}';
    const raw = await sendRaw(
      port,
      [
        'POST /v1/chat/completions?q=%20x HTTP/1.1',
        'Host: localhost',
        'Connection: close, X-Private',
        'X-Private: secret',
        'TE: trailers',
        'Proxy-Authorization: Basic eA==',
        'Upgrade: h2c',
        'X-Kept: 1',
        'x-kept: 2',
        'Authorization: Bearer theirs',
        'Content-Type: application/json',
        `Content-Length: ${Buffer.byteLength(body)}`,
        '',
        body,
      ].join('\r\n'),
    );
    const [seen] = one.server.asked('/v1/chat/completions?q=%20x');
    expect(seen?.body.toString()).toBe(body);
    const names = seen?.rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
    for (const name of ['x-private', 'te', 'proxy-authorization', 'upgrade'])
      expect(names).not.toContain(name);
    expect(seen?.headers.host).toBe(new URL(one.server.url).host);
    expect(seen?.headers.authorization).toBe('Bearer theirs');
    expect(seen?.rawHeaders.join()).toContain('X-Kept,1,x-kept,2');
    expect(raw).toMatch(/^HTTP\/1\.1 201 /);
    expect(raw).toContain('X-Theirs: yes');
    expect(raw.match(/Set-Cookie/g)).toHaveLength(2);
    expect(raw).not.toMatch(/timeout=9|Trailer/);
    expect(
      Buffer.from(raw.slice(raw.indexOf('\r\n\r\n') + 4), 'latin1').includes(Buffer.from([0, 255, 10, 13])),
    ).toBe(true);
    expect((await ask(`${url}/stats`)).json).toMatchObject({ requests: 1, retries: 0 });
  });

  test('row 106: the first event arrives before the service has ended, and [DONE] is kept', async () => {
    let finish: () => void = () => undefined;
    const streams = await service('streams', (response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write('data: {"n":1}\n\n');
      finish = () => response.end('data: [DONE]\n\n');
    });
    const { url } = await router({ services: [streams] });
    const request = httpRequest(`${url}/v1/chat/completions`, {
      method: 'POST',
      agent: false,
      headers: { 'content-type': 'application/json' },
    });
    request.end('{"model":"m","stream":true}');
    let text = '';
    let first: () => void = () => undefined;
    const arrived = new Promise<void>((resolve) => {
      first = resolve;
    });
    const ended = new Promise<void>((resolve, reject) => {
      request.on('error', reject).on('response', (response) => {
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
          first();
        });
        response.on('end', resolve);
      });
    });
    await within(arrived, () => 'no event arrived');
    expect(text).toBe('data: {"n":1}\n\n');
    finish();
    await ended;
    expect(text).toBe('data: {"n":1}\n\ndata: [DONE]\n\n');
  });

  test('a body that is no JSON is passed on by turns; one over the limit is a 413 and costs no memory', async () => {
    const one = await service('one', (response, { body }) => json(response, 200, { length: body.length }));
    const { url, process } = await router({ services: [one], args: ['--body-limit-bytes', '100000'] });
    const odd = await ask(`${url}/v1/anything`, { body: Buffer.from('not json') });
    expect(odd.json).toEqual({ length: 8 });
    expect((await ask(`${url}/v1/x`, { body: Buffer.alloc(100_000, 97) })).json).toEqual({ length: 100_000 });
    expect((await ask(`${url}/v1/x`, { body: Buffer.alloc(100_001, 97) })).status).toBe(413);
    const before = memory(process.pid).now;
    const head =
      'POST /v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 104857600\r\n\r\n';
    expect(
      await sendRaw(Number(new URL(url).port), Buffer.concat([Buffer.from(head), Buffer.alloc(1 << 20)])),
    ).toContain('413');
    expect(memory(process.pid).now - before).toBeLessThan(64 << 20);
    expect((await complete(url)).status).toBe(200);
  });

  test.each([
    ['S7: another Host', 'POST /v1/x HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n', 403],
    [
      'S8: a web page',
      'POST /v1/x HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nConnection: close\r\n\r\n',
      403,
    ],
    [
      'S9: a simple type',
      'POST /v1/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx',
      415,
    ],
    [
      'S10: smuggling',
      'POST /v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
    ],
    [
      'an absolute target',
      'GET http://192.0.2.1/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
      400,
    ],
  ])('%s gets its error and reaches no service', async (_what, bytes, status) => {
    const one = await service('one');
    const { port } = await router({ services: [one] });
    expect(await sendRaw(port, bytes)).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(one.server.seen.filter(({ path: at }) => at !== '/health')).toHaveLength(0);
  });

  test('S2, S6: with a token, clients must show it, and services do not see it', async () => {
    const one = await service('one');
    const token = 'canary-token-0123456789';
    const file = path.join(hearth.makeHome().root, 'services.json');
    const list = [{ name: 'one', host: '127.0.0.1', port: one.server.port, metadata: { models: ['m'] } }];
    fs.writeFileSync(file, JSON.stringify(list));
    const process = hearth.run(
      ['router', '--router-port', '0', '--static-services', file, '--token-env', 'T'],
      { env: { T: token } },
    );
    await process.printed('hearth: router on ');
    const url = /router on (\S+)/.exec(process.stdout)?.[1] ?? '';
    const right = { authorization: `Bearer ${token}` };
    expect((await ask(`${url}/health`)).status).toBe(401);
    await until(
      async () => ((await ask(`${url}/health`, { headers: right })).status === 200 ? true : undefined),
      () => 'not healthy',
    );
    expect((await complete(url)).status).toBe(401);
    expect((await complete(url, {}, right)).status).toBe(200);
    expect(one.server.asked('/v1/chat/completions')[0]?.headers.authorization).toBeUndefined();
    expect(process.stdout + process.stderr).not.toContain(token);
  });
});

describe('row 128: discovery', () => {
  test('a new service is usable at once, goes after the grace period, and a static one never', async () => {
    const [fixed, found] = [await service('fixed'), await service('found')];
    const registry = hearth.run(['registry', '--port', '0']);
    await registry.printed('hearth: registry on ');
    const registryUrl = /registry on (\S+)/.exec(registry.stdout)?.[1] ?? '';
    const { url } = await router({
      services: [fixed],
      args: [
        '--registry-url',
        registryUrl,
        '--service-removal-grace-period',
        '3',
        '--registry-sync-interval',
        '1',
      ],
    });
    const { port, url: place } = found.server;
    const registration = {
      ...{ name: 'found', host: '127.0.0.1', hostname: 'localhost', port, url: place, status: 'running' },
      metadata: { type: 'openai-api', models: ['new'] },
    };
    await ask(`${registryUrl}/services`, { body: registration });
    await ask(`${registryUrl}/services`, {
      body: { ...registration, name: 'other', metadata: { type: 'command' } },
    });
    await untilHealthy(url, 2);
    expect(from(await complete(url, { model: 'new' }))).toBe('found');
    expect((await viewed(url)).map(({ name }) => name)).toEqual(['fixed', 'found']);
    await ask(`${registryUrl}/services/found`, { method: 'DELETE' });
    // It still answers, so it still serves, until the grace period is over.
    expect(from(await complete(url, { model: 'new' }))).toBe('found');
    await until(
      async () => ((await viewed(url)).length === 1 ? true : undefined),
      () => 'the service is still there',
    );
    expect((await viewed(url)).map(({ name }) => name)).toEqual(['fixed']);
  });

  test('a registry without news of itself is asked at the interval; one that is gone changes nothing', async () => {
    const found = await service('found');
    const registry = await UpstreamServer.listen((response) => {
      json(response, 200, {
        services: [
          {
            name: 'found',
            host: '127.0.0.1',
            port: found.server.port,
            url: found.server.url,
            is_healthy: true,
            metadata: { type: 'openai-api', models: ['m'] },
          },
        ],
        total: 1,
      });
    });
    servers.push(registry);
    const { url } = await router({
      args: [
        '--registry-url',
        registry.url,
        '--registry-sync-interval',
        '0.2',
        '--service-removal-grace-period',
        '0',
      ],
      healthy: 1,
    });
    await registry.request('/services?healthy=true', 3);
    await registry.close();
    expect(from(await complete(url))).toBe('found');
  });

  test.each(['{', '{"services": 1}', '[{"name":"a"}]', '[{"name":"a","host":"h","port":0}]'])(
    'row 81: a file of static services that holds %j is a startup error',
    async (text) => {
      const home = hearth.makeHome();
      const file = path.join(home.root, 'bad.json');
      fs.writeFileSync(file, text);
      const process = hearth.run(['router', '--router-port', '0', '--static-services', file], { home });
      expect((await process.end()).code).toBe(2);
      expect(process.stderr).toContain('static services');
    },
  );

  test('the port is taken: the router says so', async () => {
    const port = await freePorts();
    const holder = await UpstreamServer.listen(() => undefined, port);
    servers.push(holder);
    const process = hearth.run(['router', '--router-port', String(port)]);
    expect((await process.end()).code).toBe(4);
    expect(process.stderr).toContain(`${port}`);
  });
});
