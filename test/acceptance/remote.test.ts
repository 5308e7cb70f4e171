import fs from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type HearthProcess, hearthScope } from '../support/daemon.js';
import { freePorts } from '../support/http.js';
import { say } from '../support/raw-client.js';
import { type Answer, chunk, completions, json, UpstreamServer } from '../support/upstream.js';
import { least, within } from '../support/wait.js';

/** The daemon with an OpenAI-compatible service behind it, over real sockets. */
const hearth = hearthScope('test');
let servers: UpstreamServer[] = [];

afterEach(async () => {
  const ended = servers;
  servers = [];
  await Promise.all(ended.map((server) => server.close()));
});

async function upstream(answer: Answer): Promise<UpstreamServer> {
  const server = await UpstreamServer.listen(answer);
  servers.push(server);
  return server;
}

interface Setup {
  readonly backend?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
}

function spawnBefore(
  server: Pick<UpstreamServer, 'url'>,
  { backend = {}, env = {} }: Setup = {},
): HearthProcess {
  const home = hearth.makeHome();
  const file = path.join(home.root, 'hearth.json');
  const backends = [{ kind: 'openai-compat', name: 'cloud', base_url: server.url, ...backend }];
  fs.writeFileSync(file, JSON.stringify({ backends }));
  return hearth.spawnServe({ plain: true, home, args: ['--config', file], env });
}

const frames = async (daemon: HearthProcess, request: object) => {
  const client = await daemon.ready();
  const answer = await client.ask(request);
  client.destroy();
  return answer;
};

describe('a remote service as a backend', () => {
  test('row 79: the upstream stream becomes tokens and done, with its usage and its model', async () => {
    const server = await upstream(completions(['alpha ', 'beta ', 'gamma']));
    const daemon = spawnBefore(server);
    expect(await frames(daemon, { ...say('hello'), seed: 7, stop: ['END'] })).toEqual([
      expect.objectContaining({ type: 'token', content: 'alpha ' }),
      expect.objectContaining({ type: 'token', content: 'beta ' }),
      expect.objectContaining({ type: 'token', content: 'gamma' }),
      expect.objectContaining({
        type: 'done',
        content: 'alpha beta gamma',
        stop_reason: 'end',
        backend: 'cloud',
        usage: { prompt_tokens: 7, completion_tokens: 3 },
      }),
    ]);
    const [asked] = server.asked('/v1/chat/completions');
    expect(asked?.method).toBe('POST');
    expect(asked?.headers['content-type']).toBe('application/json');
    const body: unknown = JSON.parse(asked?.body.toString() ?? '');
    expect(body).toMatchObject({
      model: 'remote-model',
      stream: true,
      messages: [{ role: 'user', content: 'hello' }],
      temperature: 1,
      top_p: 0.95,
      max_tokens: 1000,
      seed: 7,
      stop: ['END'],
    });
    expect(body).not.toHaveProperty('top_k');
  });

  test('row 79: a path below the host and a trailing /v1 are part of the base', async () => {
    const server = await upstream((response, seen) => {
      completions(['x'])(response, { ...seen, path: seen.path.replace('/deep/er', '') });
    });
    const daemon = spawnBefore(server, { backend: { base_url: `${server.url}/deep/er/v1/` } });
    expect((await frames(daemon, say('hello'))).at(-1)).toMatchObject({ type: 'done', content: 'x' });
    expect(server.asked('/deep/er/v1/chat/completions')).toHaveLength(1);
  });

  test('rows 79, 83: the key comes from the named variable, and reaches nothing but the service', async () => {
    const server = await upstream(completions(['x']));
    const secret = 'canary-key-4711-do-not-log';
    const daemon = spawnBefore(server, {
      backend: { api_key_env: 'CLOUD_KEY' },
      env: { CLOUD_KEY: secret },
    });
    expect((await frames(daemon, say('hello'))).at(-1)).toMatchObject({ type: 'done' });
    expect(server.seen.map(({ headers }) => headers.authorization)).toEqual(
      server.seen.map(() => `Bearer ${secret}`),
    );
    await daemon.stop();
    expect(daemon.stdout + daemon.stderr).not.toContain(secret);
    for (const file of fs.readdirSync(daemon.home.logDir))
      expect(fs.readFileSync(path.join(daemon.home.logDir, file), 'utf8')).not.toContain(secret);
  });

  test('row 79: an empty key means no Authorization at all', async () => {
    const server = await upstream(completions(['x']));
    const daemon = spawnBefore(server, { backend: { api_key_env: 'CLOUD_KEY' }, env: { CLOUD_KEY: '' } });
    expect((await frames(daemon, say('hello'))).at(-1)).toMatchObject({ type: 'done' });
    expect(server.seen.every(({ headers }) => headers.authorization === undefined)).toBe(true);
  });

  test('row 83: a variable that is not set is named, and nothing else', async () => {
    const server = await upstream(completions(['x']));
    const daemon = spawnBefore(server, { backend: { api_key_env: 'CLOUD_KEY' } });
    expect(await daemon.end()).toMatchObject({ code: 2 });
    expect(daemon.stderr).toContain('CLOUD_KEY is not set');
  });

  test.each([
    [{ base_url: 'http://192.0.2.1', api_key_env: 'CLOUD_KEY' }, 'in clear'],
    [{ base_url: 'file:///etc/passwd' }, 'base_url'],
    [{ base_url: 'https://user:pass@example.com' }, 'base_url'],
    [{ api_key_env: 'sk-not-a-name' }, 'api_key_env'],
    [{ timeout_secs: 0 }, 'timeout_secs'],
    [{ unknown: 1 }, 'unknown'],
  ])('row 81: %j is a startup error that names the fault', async (backend, named) => {
    const server = await upstream(completions(['x']));
    const daemon = spawnBefore(server, { backend, env: { CLOUD_KEY: 'canary' } });
    expect(await daemon.end()).toMatchObject({ code: 2 });
    expect(daemon.stderr).toContain(named);
    expect(daemon.stderr).not.toContain('canary');
    expect(daemon.stderr).not.toContain('user:pass');
  });

  test('row 21: an upstream that breaks off after one token gives that token and backend_unavailable', async () => {
    const server = await upstream((response, seen) => {
      if (seen.path === '/v1/models') {
        completions([])(response, seen);
        return;
      }
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write(chunk('alpha '), () => response.destroy());
    });
    expect(await frames(spawnBefore(server), say('hello'))).toEqual([
      expect.objectContaining({ type: 'token', content: 'alpha ' }),
      expect.objectContaining({ type: 'error', code: 'backend_unavailable' }),
    ]);
  });

  test.each([
    [500, 'backend_unavailable'],
    [503, 'backend_unavailable'],
    [429, 'backend_unavailable'],
    [401, 'backend_unavailable'],
    [302, 'backend_unavailable'],
    [400, 'invalid_request'],
    [413, 'invalid_request'],
  ])(
    'row 22: status %i before the stream is one error frame, %s, and what it said is not repeated',
    async (status, code) => {
      const server = await upstream((response, seen) => {
        if (seen.path === '/v1/models') completions([])(response, seen);
        else json(response, status, { error: { message: 'canary-upstream-words' } });
      });
      const answer = await frames(spawnBefore(server), say('hello'));
      expect(answer).toEqual([expect.objectContaining({ type: 'error', code })]);
      expect(JSON.stringify(answer)).not.toContain('canary');
      expect(server.asked('/v1/chat/completions')).toHaveLength(1);
    },
  );

  test('row 79: an upstream that is silent for longer than timeout_secs is given up', async () => {
    const server = await upstream((response, seen) => {
      if (seen.path === '/v1/models') completions([])(response, seen);
    });
    const answer = await frames(spawnBefore(server, { backend: { timeout_secs: 0.3 } }), say('hello'));
    expect(answer).toEqual([expect.objectContaining({ type: 'error', code: 'backend_unavailable' })]);
  });

  test.each([
    ['while it streams', true],
    ['before the first token', false],
  ] as const)(
    'row 80: a client that leaves %s closes the upstream request within a second',
    async (_when, streams) => {
      const server = await upstream((response, seen) => {
        if (seen.path === '/v1/models') {
          completions([])(response, seen);
          return;
        }
        if (!streams) return;
        response.writeHead(200, { 'Content-Type': 'text/event-stream' });
        response.write(chunk('alpha '));
      });
      const daemon = spawnBefore(server);
      const time = await least(1000, async (attempt) => {
        const client = await daemon.ready();
        await client.sendJson(say('hello'));
        const asked = await server.request('/v1/chat/completions', attempt + 1);
        if (streams) expect(await client.frame()).toMatchObject({ type: 'token' });
        const since = performance.now();
        client.destroy();
        await within(asked.closed, () => 'the upstream request is still open');
        return performance.now() - since;
      });
      expect(time).toBeLessThan(1000);
    },
  );

  test('a service that comes later is found, and until then the daemon says that it is not ready', async () => {
    const port = await freePorts();
    const daemon = spawnBefore({ url: `http://127.0.0.1:${port}` });
    const admin = await daemon.admin();
    const server = await UpstreamServer.listen(completions(['late']), port);
    servers.push(server);
    expect((await frames(daemon, say('hello'))).at(-1)).toMatchObject({ type: 'done', content: 'late' });
    admin.destroy();
  });

  test('row 47: a model that the service does not list ends the start, and says what to set', async () => {
    const server = await upstream(completions([], { models: ['other'] }));
    const daemon = spawnBefore(server, { backend: { model: 'wanted' } });
    expect((await daemon.end()).code).not.toBe(0);
    expect(daemon.stderr).toContain('does not list that model');
  });
});
