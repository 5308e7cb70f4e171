import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type HearthProcess, hearthScope, type Scope } from '../support/daemon.js';
import { ask, freePorts } from '../support/http.js';
import { until } from '../support/wait.js';

/**
 * The eight tests of InfiniLM-SVC's pipeline (behaviours.md 3.5): three services behind babysitters, a registry and a
 * router. Its mock registers itself with the registry before it listens, as theirs does.
 */

const mock = fileURLToPath(new URL('../support/mock-service.mjs', import.meta.url));

interface Pipeline {
  readonly router: string;
  readonly registry: string;
  /** Of the first babysitter. */
  readonly babysitter: string;
  readonly processes: readonly HearthProcess[];
}

const services = [
  { name: 'service-model-a', models: 'model-a,model-shared' },
  { name: 'service-model-b', models: 'model-b,model-shared' },
  { name: 'service-model-c', models: 'model-c' },
] as const;

/** The TOML of a service's babysitter, as the pipeline's own script writes it. */
function toml(service: (typeof services)[number], port: number, registryUrl: string, home: string): string {
  const args = [
    mock,
    ...['--name', service.name, '--port', String(port), '--models', service.models],
    ...['--registry-url', registryUrl],
  ];
  return [
    `name = "babysitter-${service.name}"`,
    `port = ${port}`,
    `registry_url = "${registryUrl}"`,
    '[babysitter]',
    'max_restarts = 10',
    'restart_delay = 2',
    'heartbeat_interval = 10',
    '[backend]',
    'type = "command"',
    `command = ${JSON.stringify(process.execPath)}`,
    `args = ${JSON.stringify(args)}`,
    `env = { HEARTH_TEST_HOME = ${JSON.stringify(`${home}/`)} }`,
  ].join('\n');
}

interface Prepared {
  readonly home: ReturnType<Scope['makeHome']>;
  readonly files: readonly string[];
  readonly ports: readonly number[];
  readonly registryPort: number;
  readonly routerPort: number;
}

async function prepare(hearth: Scope): Promise<Prepared> {
  const home = hearth.makeHome();
  const registryPort = await freePorts();
  const routerPort = await freePorts();
  const ports: number[] = [];
  while (ports.length < services.length) ports.push(await freePorts());
  const files = services.map((service, index) => {
    const file = path.join(home.root, `${service.name}.toml`);
    const registryUrl = `http://127.0.0.1:${registryPort}`;
    fs.writeFileSync(file, toml(service, ports[index] ?? 0, registryUrl, home.root));
    return file;
  });
  return { home, files, ports, registryPort, routerPort };
}

/** As processes of their own. */
async function asProcesses(hearth: Scope): Promise<Pipeline> {
  const { home, files, ports, registryPort, routerPort } = await prepare(hearth);
  const registry = `http://127.0.0.1:${registryPort}`;
  const processes = [
    hearth.run(['registry', '--port', String(registryPort)], { home }),
    ...files.map((file) => hearth.run(['babysit', '--config-file', file], { home })),
    hearth.run(
      [
        ...['router', '--router-port', String(routerPort), '--registry-url', registry],
        ...['--health-interval', '5', '--registry-sync-interval', '2'],
      ],
      { home },
    ),
  ];
  return {
    router: `http://127.0.0.1:${routerPort}`,
    registry,
    babysitter: `http://127.0.0.1:${(ports[0] ?? 0) + 1}`,
    processes,
  };
}

/** As parts of one daemon. */
async function insideTheDaemon(hearth: Scope): Promise<Pipeline> {
  const { home, files, ports, registryPort, routerPort } = await prepare(hearth);
  const config = path.join(home.root, 'hearth.json');
  const plane = {
    registry: `127.0.0.1:${registryPort}`,
    router: `127.0.0.1:${routerPort}`,
    babysitters: files,
    health_interval_secs: 5,
  };
  fs.writeFileSync(config, JSON.stringify({ services: plane }));
  return {
    router: `http://127.0.0.1:${routerPort}`,
    registry: `http://127.0.0.1:${registryPort}`,
    babysitter: `http://127.0.0.1:${(ports[0] ?? 0) + 1}`,
    processes: [hearth.spawnServe({ home, args: ['--config', config] })],
  };
}

describe.each([
  ['as separate processes', asProcesses],
  ['inside the sidecar', insideTheDaemon],
] as const)('the pipeline %s', (_how, start) => {
  const hearth = hearthScope('file');
  let pipeline: Pipeline;

  const chat = (model: string, more: object = {}) =>
    ask(`${pipeline.router}/v1/chat/completions`, {
      body: { model, messages: [{ role: 'user', content: 'test' }], ...more },
    });

  beforeAll(async () => {
    pipeline = await start(hearth);
    // The script waits for three healthy services; here each babysitter's own is waited for as well.
    await until(
      async () => {
        const answer = await ask(`${pipeline.router}/services`).catch(() => undefined);
        const list = (answer?.json['services'] ?? []) as readonly { name: string; healthy: boolean }[];
        const ready = list.filter(({ healthy }) => healthy).map(({ name }) => name);
        return services.every(({ name }) => ready.includes(`babysitter-${name}-server`)) ? true : undefined;
      },
      () => `the services are not there\n${pipeline.processes.map((one) => one.describe()).join('\n')}`,
      100_000,
    );
  });

  afterAll(async () => {
    for (const process of pipeline.processes) expect((await process.stop()).code).toBe(0);
  });

  test('1, row 127: a babysitter tells its health', async () => {
    expect((await ask(`${pipeline.babysitter}/health`)).json).toMatchObject({ status: 'healthy' });
  });

  test('2, row 129: the router has at least four models', async () => {
    const { data } = (await ask(`${pipeline.router}/models`)).json as { data: readonly { id: string }[] };
    expect(data.map(({ id }) => id)).toEqual(['model-a', 'model-b', 'model-c', 'model-shared']);
  });

  test.each(['model-a', 'model-b'])(
    '3, 4, row 130: %s is answered by a service that has it',
    async (model) => {
      const answer = await chat(model);
      expect(answer.status).toBe(200);
      expect(answer.json).toMatchObject({ model, choices: [{ finish_reason: 'stop' }] });
      expect(answer.body.toString()).toContain(`service-${model}`);
    },
  );

  test('5, row 131: two requests for a shared model both succeed, at different services', async () => {
    const answers = await Promise.all([1, 2, 3, 4].map(() => chat('model-shared')));
    for (const answer of answers) expect(answer.json).toMatchObject({ model: 'model-shared' });
    const from = answers.map(({ body }) => /service-model-[ab]/.exec(body.toString())?.[0]);
    expect(new Set(from).size).toBe(2);
  });

  test('6, row 132: a model that nobody has is a 503 that names it', async () => {
    const answer = await chat('non-existent-model');
    expect(answer.status).toBe(503);
    expect(answer.json['error']).toContain('non-existent-model');
  });

  test('7, row 106: a stream is a stream of events', async () => {
    const answer = await chat('model-a', { stream: true });
    expect(answer.headers['content-type']).toContain('text/event-stream');
    const events = answer.body.toString().split('\n\n');
    expect(events[0]).toMatch(/^data: \{/);
    expect(events.at(-2)).toBe('data: [DONE]');
  });

  test('8, row 138: the router lists at least three services', async () => {
    const { services: list } = (await ask(`${pipeline.router}/services`)).json as {
      services: readonly object[];
    };
    expect(list.length).toBeGreaterThanOrEqual(3);
  });
});
