import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { type HearthProcess, type Home, hearthScope } from '../support/daemon.js';
import { ask, freePorts } from '../support/http.js';
import { allGone, descendants, isAlive, processesNaming } from '../support/processes.js';
import { UpstreamServer, json } from '../support/upstream.js';
import { until, within } from '../support/wait.js';

/** `hearth babysit` as a process of its own, with a real child behind it. */
const hearth = hearthScope('test');
const mock = fileURLToPath(new URL('../support/mock-service.mjs', import.meta.url));

interface Setup {
  readonly args?: readonly string[];
  /** Lines of `[babysitter]`. */
  readonly settings?: readonly string[];
  /** Lines at the top. */
  readonly top?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly name?: string;
}

interface Sitting {
  readonly process: HearthProcess;
  readonly home: Home;
  readonly port: number;
  /** Of the babysitter's own server. */
  readonly url: string;
}

async function babysit({
  args = [],
  settings = [],
  top = [],
  env = {},
  name = 'sat',
}: Setup = {}): Promise<Sitting> {
  const home = hearth.makeHome();
  const port = await freePorts();
  const command = [mock, '--name', name, '--port', String(port), '--models', 'm1,m2', ...args];
  // The home is named on the command line, so that whatever is left of it is found.
  const toml = [
    `name = "${name}"`,
    `port = ${port}`,
    ...top,
    '[babysitter]',
    ...settings,
    '[backend]',
    'type = "command"',
    `command = ${JSON.stringify(process.execPath)}`,
    `args = ${JSON.stringify(command)}`,
    `env = { HEARTH_TEST_HOME = ${JSON.stringify(`${home.root}/`)} }`,
    '[metadata]',
    'cache_type = "paged"',
  ];
  const file = path.join(home.root, 'babysitter.toml');
  fs.writeFileSync(file, toml.join('\n'));
  const process_ = hearth.run(['babysit', '--config-file', file], { home, env });
  return { process: process_, home, port, url: `http://127.0.0.1:${port + 1}` };
}

const service = (home: Home) =>
  processesNaming(`${home.root}/`).filter(({ pid }) => commandOf(pid).includes(mock));
const commandOf = (pid: number): string => {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
};

describe('row 127: endpoints', () => {
  test('health, models and info tell of a service that runs', async () => {
    const { process, url, port } = await babysit();
    await process.printed('service ready');
    const health = await ask(`${url}/health`);
    expect(health.status).toBe(200);
    expect(health.json).toMatchObject({
      status: 'healthy',
      warm_up_state: 'ready',
      service: 'sat',
      babysitter: 'enhanced',
      infinilm_server_running: true,
      infinilm_server_port: port,
      timestamp: expect.any(Number) as number,
    });
    expect((await ask(`${url}/models`)).json).toMatchObject({
      object: 'list',
      data: [{ id: 'm1' }, { id: 'm2' }],
    });
    expect((await ask(`${url}/info`)).json).toMatchObject({
      name: 'sat',
      host: 'localhost',
      port: port + 1,
      url: `http://localhost:${port + 1}`,
      service_type: 'command',
      infinilm_server_port: port,
      restart_count: 0,
    });
    expect((await ask(`${url}/metrics`)).status).toBe(404);
  });

  test('rows 110, 127: before it is ready, health is no 200 and models is 503', async () => {
    const { process, url } = await babysit({ args: ['--silent'] });
    await process.printed('babysitter of sat');
    const health = await ask(`${url}/health`);
    expect(health.status).toBe(503);
    expect(health.json).toMatchObject({
      status: 'starting',
      warm_up_state: 'loading',
      infinilm_server_port: null,
    });
    expect((await ask(`${url}/models`)).status).toBe(503);
  });
});

describe('the life of the service', () => {
  test('row 116: an exit before it is ready is seen at once, not after the startup timeout', async () => {
    const { process } = await babysit({ args: ['--exit-at-once', '7'], settings: ['max_restarts = 0'] });
    await process.printed('babysitter of sat');
    const since = performance.now();
    expect((await process.end()).code).toBe(4);
    // The startup timeout is a minute. A Node program starts and exits within a second, on a busy machine within many.
    expect(performance.now() - since).toBeLessThan(30_000);
    expect(process.stdout).toContain('given_up: it exited with code 7');
  });

  test('row 117: three restarts with growing waits, then unhealthy and an exit code other than 0', async () => {
    const { process } = await babysit({ args: ['--exit-at-once', '1'] });
    expect((await process.end()).code).not.toBe(0);
    for (const wait of ['restart 1 in 0.5 s', 'restart 2 in 1 s', 'restart 3 in 2 s'])
      expect(process.stdout).toContain(wait);
    expect(process.stdout).not.toContain('restart 4');
  });

  test('row 119: max_restarts and restart_delay are honoured, and info counts', async () => {
    const { process, url } = await babysit({ settings: ['max_restarts = 1', 'restart_delay = 0.2'] });
    await process.printed('service ready');
    const [first] = descendants(process.pid).filter(({ pid }) => commandOf(pid).includes(mock));
    globalThis.process.kill(first?.pid ?? 0, 'SIGKILL');
    await process.printed('restart 1 in 0.2 s');
    await until(
      async () => ((await ask(`${url}/health`)).status === 200 ? true : undefined),
      () => 'the service did not come back',
    );
    expect((await ask(`${url}/info`)).json['restart_count']).toBe(1);
    const [second] = descendants(process.pid).filter(({ pid }) => commandOf(pid).includes(mock));
    globalThis.process.kill(second?.pid ?? 0, 'SIGKILL');
    expect((await process.end()).code).toBe(4);
  });

  test('row 112: arguments reach the child as they are, and the environment is an allow-list', async () => {
    const home = hearth.makeHome();
    const file = path.join(home.root, 'env.json');
    const { process } = await babysit({
      args: ['--dump-env', file, '--words', '$(touch x); `id` && "a\' b'],
      env: { OPENAI_API_KEY: 'canary-key', NODE_OPTIONS: '--no-warnings', CUDA_VISIBLE_DEVICES: '3' },
    });
    await process.printed('service ready');
    const seen = JSON.parse(fs.readFileSync(file, 'utf8')) as Record<string, string>;
    expect(seen['MOCK_WORDS']).toBe('$(touch x); `id` && "a\' b');
    expect(seen).toMatchObject({ CUDA_VISIBLE_DEVICES: '3', HOME: process.home.home });
    expect(seen).not.toHaveProperty('OPENAI_API_KEY');
    expect(seen).not.toHaveProperty('NODE_OPTIONS');
    expect(process.stdout + process.stderr).not.toContain('canary-key');
  });

  test('row 120: SIGTERM reaches the whole group, and who ignores it is killed after 5 seconds', async () => {
    const { process, home } = await babysit({ args: ['--ignores-sigterm', '--spawns-child'] });
    await process.printed('service ready');
    const all = descendants(process.pid);
    expect(service(home)).toHaveLength(1);
    const since = performance.now();
    process.signal('SIGTERM');
    expect((await process.end()).code).toBe(0);
    expect(performance.now() - since).toBeGreaterThan(4500);
    expect(performance.now() - since).toBeLessThan(30_000);
    await allGone(all, 'the service and what it started');
  });

  test('row 121: kill -9 of the babysitter leaves nothing, not even what ignores SIGTERM', async () => {
    const { process } = await babysit({ args: ['--ignores-sigterm', '--spawns-child'] });
    await process.printed('service ready');
    const all = descendants(process.pid);
    expect(all.length).toBeGreaterThanOrEqual(3);
    await process.crash();
    await allGone(all, 'the service of a killed babysitter');
  });

  test('a port that another process holds is named, and nobody is taken for the service', async () => {
    const port = await freePorts();
    const stranger = await UpstreamServer.listen(
      (response) => json(response, 200, { data: [{ id: 'x' }] }),
      port,
    );
    try {
      const process = hearth.run([
        'babysit',
        '--port',
        String(port),
        '--command',
        'sleep 60',
        '--max-restarts',
        '0',
      ]);
      expect((await process.end()).code).toBe(4);
      expect(process.stdout).toContain(`port ${port} is taken`);
    } finally {
      await stranger.close();
    }
  });

  test('a service that wants the next port too is given it', async () => {
    const { process, url } = await babysit({
      args: ['--claims-next-port'],
      settings: ['max_restarts = 3', 'restart_delay = 0.3'],
    });
    await process.printed('service ready');
    expect((await ask(`${url}/health`)).json).toMatchObject({ status: 'healthy' });
  });
});

test('a backend of type mock needs no program of the person', async () => {
  const port = await freePorts();
  const home = hearth.makeHome();
  const file = path.join(home.root, 'mock.toml');
  fs.writeFileSync(file, `port = ${port}\n[backend]\ntype = "mock"\nmodels = ["one", "two"]\n`);
  const process = hearth.run(['babysit', '--config-file', file], { home });
  await process.printed('service ready');
  expect((await ask(`http://127.0.0.1:${port + 1}/models`)).json).toMatchObject({
    data: [{ id: 'one' }, { id: 'two' }],
  });
  const body = { model: 'two', messages: [] };
  const answer = await ask(`http://127.0.0.1:${port}/v1/chat/completions`, { body });
  expect(answer.json).toMatchObject({ model: 'two', choices: [{ finish_reason: 'stop' }] });
});

describe('row 122: registration', () => {
  test('the babysitter is listed first, the service with its models once it is ready, and both leave in the end', async () => {
    const registry = await UpstreamServer.listen((response, { method, path: at }) => {
      json(response, method === 'POST' && at === '/services' ? 201 : 200, {});
    });
    try {
      const { process, port } = await babysit({
        top: [`registry_url = "${registry.url}"`],
        settings: ['heartbeat_interval = 0.2'],
      });
      await registry.request('/services', 2);
      const bodies = registry.asked('/services').map(({ body }) => JSON.parse(body.toString()) as unknown);
      expect(bodies).toEqual([
        expect.objectContaining({
          name: 'sat',
          port: port + 1,
          status: 'running',
          metadata: { type: 'command', babysitter: 'enhanced', cache_type: 'paged' },
        }),
        expect.objectContaining({
          name: 'sat-server',
          host: 'localhost',
          hostname: 'localhost',
          port,
          url: `http://localhost:${port}`,
          status: 'running',
          metadata: {
            type: 'openai-api',
            parent_service: 'sat',
            babysitter: 'enhanced',
            cache_type: 'paged',
            models: ['m1', 'm2'],
            models_list: [expect.objectContaining({ id: 'm1' }), expect.objectContaining({ id: 'm2' })],
          },
        }),
      ]);
      await registry.request('/services/sat/heartbeat', 2);
      await registry.request('/services/sat-server/heartbeat', 2);
      // A registry that has forgotten is told again.
      registry.answer = (response, { path: at }) => {
        json(response, at === '/services' ? 201 : 404, {});
      };
      await registry.request('/services', 4);
      await process.stop();
      const gone = registry.seen.filter(({ method }) => method === 'DELETE').map(({ path: at }) => at);
      expect(gone.toSorted()).toEqual(['/services/sat', '/services/sat-server']);
    } finally {
      await registry.close();
    }
  });

  test('a death is told to the registry at once', async () => {
    const registry = await UpstreamServer.listen((response, { path: at }) => {
      json(response, at === '/services' ? 201 : 200, {});
    });
    try {
      const { process } = await babysit({
        top: [`registry_url = "${registry.url}"`],
        settings: ['restart_delay = 60'],
      });
      await registry.request('/services', 2);
      const [child] = descendants(process.pid).filter(({ pid }) => commandOf(pid).includes(mock));
      globalThis.process.kill(child?.pid ?? 0, 'SIGKILL');
      const told = await registry.request('/services/sat-server/heartbeat');
      expect(JSON.parse(told.body.toString())).toEqual({ status: 'restarting' });
      await within(process.stop(), () => 'it waited for its restart');
      expect(isAlive(child ?? { pid: 0, startedAt: '' })).toBe(false);
    } finally {
      await registry.close();
    }
  });
});

describe('configuration', () => {
  test.each([
    ['port = 1\n[backend]\ntype = "command"\ncommand = "x"\nshell = true', 'unknown key "shell"'],
    ['[backend]\ntype = "command"\ncommand = "x"', 'port'],
    ['port = 9000', 'backend'],
    ['port = 9000\n[backend]\ntype = "nothing"', 'backend'],
    ['port = 9000\nname = "../up"\n[backend]\ntype = "command"\ncommand = "x"', 'name'],
    ['port = = 1', 'not valid TOML (line 1'],
    ['port = 9000\nhost = "0.0.0.0"\n[backend]\ntype = "command"\ncommand = "x"', '0.0.0.0'],
    [
      'port = 9000\n[backend]\ntype = "llama-server"\nmodel_path = "/m"\nextra_args = ["--lora", "x"]',
      '--lora',
    ],
    [
      'port = 9000\n[backend]\ntype = "llama-server"\nmodel_path = "/m"\nllama_server_bin = "/usr/local/bin/../../bin/sh"',
      'llama_server_bin',
    ],
  ])('row 81: %j is a startup error that names %j', async (toml, named) => {
    const home = hearth.makeHome();
    const file = path.join(home.root, 'bad.toml');
    fs.writeFileSync(file, toml);
    const process = hearth.run(['babysit', '--config-file', file], { home });
    expect((await process.end()).code).toBe(2);
    expect(process.stderr).toContain(named);
  });
});
