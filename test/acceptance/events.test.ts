import { engineEventSchema } from '@hearth/protocol';
import { describe, expect, test } from 'vitest';
import { configured, type HearthProcess, hearthScope } from '../support/daemon.js';
import { EventCollector } from '../support/event-collector.js';
import { freePorts } from '../support/http.js';
import { askOnce, isObject, say } from '../support/raw-client.js';
import { until } from '../support/wait.js';

/** The base URL of health and metrics, as the daemon prints it. */
async function metricsUrl(daemon: HearthProcess): Promise<string> {
  await daemon.printed('hearth: health and metrics');
  return /health and metrics (\S+)/u.exec(daemon.stdout)?.[1] ?? '';
}

async function scrape(daemon: HearthProcess): Promise<string> {
  const answer = await fetch(`${await metricsUrl(daemon)}/metrics`);
  expect(answer.status).toBe(200);
  return answer.text();
}

/** The value of a line of the exposition. */
function valueOf(text: string, series: string): number | undefined {
  const line = text.split('\n').find((one) => one.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

describe('engine events', () => {
  const hearth = hearthScope('test');

  test('row 95: a subscriber is told of requests and engines, each kind with its fields', async () => {
    const daemon = await hearth.serve({ mock: { name: 'm', tokens: ['a', 'b'] } });
    const watcher = await daemon.connect();
    await watcher.sendJson({ type: 'subscribe', channel: 'engine' });
    await watcher.frame();
    await askOnce(daemon.home.inferenceSocket, say('one'));
    await askOnce(daemon.home.inferenceSocket, { id: 'bad', model: 'no such', prompt: 'x' });
    const bodies = (await watcher.frames(2)).map((frame) => frame['body']);
    for (const body of bodies) expect(engineEventSchema.safeParse(body).error?.message).toBeUndefined();
    expect(bodies).toMatchObject([
      { kind: 'request_served', route: 'ndjson', provider: 'm', status_code: 200, completion_tokens: 2 },
      { kind: 'request_served', route: 'ndjson', status_code: expect.any(Number) as number },
    ]);
    daemon.signal('SIGTERM');
    watcher.destroy();
  });

  test('rows 99, 100, 101, 103: exactly the requests that were served are posted, each once, with their true status', async () => {
    const collector = await EventCollector.listen();
    try {
      const home = hearth.makeHome();
      const args = configured(home, {
        engine: 'mock',
        backends: undefined,
        mock: [{ name: 'm', tokens: ['a', 'b'] }],
        events: { http_url: collector.url, http_token_env: 'EVENT_TOKEN', http_agent_id: 'agent-7' },
      });
      const daemon = await hearth.serve({ home, plain: true, args, env: { EVENT_TOKEN: 'the-token' } });
      await askOnce(home.inferenceSocket, say('one'));
      const [first] = await collector.waitFor(1);
      expect(first?.path).toBe('/api/v1/event-log');
      expect(first?.headers['authorization']).toBe('Bearer the-token');
      expect(first?.body).toEqual([
        {
          route: 'ndjson',
          model_alias: expect.any(String) as string,
          provider: 'm',
          status_code: 200,
          latency_ms: expect.any(Number) as number,
          timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/u) as string,
          feature_id: 'chat',
          model_used: expect.any(String) as string,
          tokens_input: expect.any(Number) as number,
          tokens_output: 2,
          cost_usd: null,
          agent_id: 'agent-7',
        },
      ]);
      await daemon.stop();
      // Start, load, warm-up and stop were told to nobody.
      expect(collector.collected).toHaveLength(1);
      expect(daemon.stdout + daemon.stderr + daemon.log.text()).not.toContain('the-token');
    } finally {
      await collector.close();
    }
  });

  test('row 101: a mistake of the client is posted as 400, a fault of the engine not at all', async () => {
    const collector = await EventCollector.listen();
    try {
      for (const [fault, posted] of [
        ['invalid_request', 1],
        ['internal', 0],
        ['unavailable', 0],
      ] as const) {
        const home = hearth.makeHome();
        const args = configured(home, { events: { http_url: collector.url } });
        const daemon = await hearth.serve({ home, args, mock: { pre_stream_error: fault } });
        const before = collector.collected.length;
        await askOnce(home.inferenceSocket, say('one'));
        await collector.waitFor(before + posted);
        // The end of the daemon brings out what waits.
        await daemon.stop();
        const now = collector.collected.slice(before);
        expect(now).toHaveLength(posted);
        if (posted === 1) expect(now[0]?.body).toMatchObject([{ status_code: 400 }]);
      }
    } finally {
      await collector.close();
    }
  });

  test.each([
    ['fails', 'fail'],
    ['hangs', 'hang'],
    ['is away', undefined],
  ] as const)('row 96: an event log that %s changes no response', async (_how, behaviour) => {
    const collector = behaviour === undefined ? undefined : await EventCollector.listen(behaviour);
    try {
      const home = hearth.makeHome();
      const args = configured(home, {
        events: { http_url: collector?.url ?? 'http://127.0.0.1:9' },
        metrics_port: 0,
      });
      const daemon = await hearth.serve({ home, args, mock: { tokens: ['a', 'b'] } });
      for (let n = 0; n < 5; n += 1) {
        const frames = await askOnce(home.inferenceSocket, say(`r${n}`));
        expect(frames.map((frame) => frame['type'])).toEqual(['token', 'token', 'done']);
      }
      const lost = await until(
        async () => valueOf(await scrape(daemon), 'hearth_events_lost_total{sink="http"}') || undefined,
        () => 'no lost event is counted',
      );
      expect(lost).toBeGreaterThanOrEqual(1);
      // Nor the end.
      const since = performance.now();
      expect(await daemon.stop()).toMatchObject({ code: 0 });
      expect(performance.now() - since).toBeLessThan(20_000);
    } finally {
      await collector?.close();
    }
  });

  test.each(['http://127.0.0.1.evil.com', 'http://8.8.8.8', 'https://127.0.0.1'])(
    'row 104: %s is no place for events: refused at the start',
    async (url) => {
      for (const key of ['http_url', 'otlp_url']) {
        const home = hearth.makeHome();
        const args = configured(home, { events: { [key]: url } });
        const daemon = hearth.spawnServe({ home, args });
        expect(await daemon.end()).toMatchObject({ code: 2 });
        expect(daemon.stderr).toContain(`events.${key}`);
      }
    },
  );

  test('traces go to a collector when asked for: one span a request, by the conventions', async () => {
    const collector = await EventCollector.listen();
    try {
      const home = hearth.makeHome();
      const args = configured(home, { events: { otlp_url: collector.url } });
      const daemon = await hearth.serve({ home, args, mock: { name: 'm', tokens: ['a', 'b'] } });
      await askOnce(home.inferenceSocket, say('one'));
      await askOnce(home.inferenceSocket, say('two'));
      const sent = (): readonly unknown[] =>
        collector.collected.flatMap(({ path, body }) => {
          expect(path).toBe('/v1/traces');
          return spansOf(body);
        });
      // The end of the daemon waits for no more than a moment.
      await until(
        () => (sent().length >= 2 ? true : undefined),
        () => `${sent().length} of 2 spans came`,
      );
      await daemon.stop();
      const spans = sent();
      expect(spans).toHaveLength(2);
      expect(JSON.stringify(spans)).toContain('gen_ai.usage.output_tokens');
      expect(JSON.stringify(spans)).not.toContain('hello');
    } finally {
      await collector.close();
    }
  });
});

function spansOf(body: unknown): readonly unknown[] {
  const list = (value: unknown, key: string): readonly unknown[] => {
    const found = isObject(value) ? value[key] : undefined;
    return Array.isArray(found) ? found : [];
  };
  return list(body, 'resourceSpans')
    .flatMap((resource) => list(resource, 'scopeSpans'))
    .flatMap((scope) => list(scope, 'spans'));
}

describe('health and metrics', () => {
  const hearth = hearthScope('test');

  test('rows 111, 163: requests by route and status, latencies, tokens and waits, as Prometheus reads them', async () => {
    const home = hearth.makeHome();
    const args = ['--metrics-port', '0', ...configured(home, { http: '127.0.0.1:0' })];
    const httpToken = 'a-token-for-the-test-of-metrics';
    const env = { HEARTH_HTTP_TOKEN: httpToken };
    const daemon = await hearth.serve({ home, args, env, mock: { tokens: ['a', 'b', 'c'] } });
    await askOnce(home.inferenceSocket, say('one'));
    await askOnce(home.inferenceSocket, say('two'));
    const url = await metricsUrl(daemon);
    const answer = await fetch(`${url}/metrics`);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/u);
    const text = await until(
      async () => {
        const now = await scrape(daemon);
        return valueOf(now, 'hearth_requests_total{route="ndjson",status_code="200"}') === 2
          ? now
          : undefined;
      },
      () => 'two requests are not counted',
    );
    const latency = 'hearth_request_latency_seconds';
    expect(valueOf(text, `${latency}_count{route="ndjson",status_code="200"}`)).toBe(2);
    const bounds = [...text.matchAll(/latency_seconds_bucket\{le="([\d.]+)"/gu)].map((match) =>
      Number(match[1]),
    );
    expect(new Set(bounds)).toEqual(new Set(Array.from({ length: 10 }, (_, k) => 0.01 * 2 ** k)));
    expect(valueOf(text, 'hearth_tokens_total{kind="completion"}')).toBe(6);
    expect(valueOf(text, 'hearth_time_to_first_token_seconds_count')).toBe(2);
    expect(valueOf(text, 'hearth_inter_token_gap_seconds_count')).toBe(4);
    expect(valueOf(text, 'hearth_queue_wait_seconds_count')).toBe(2);
    expect(valueOf(text, 'hearth_permits')).toBe(1);
    expect(valueOf(text, 'hearth_permits_in_use')).toBe(0);
    // Every line is a comment or a series with a value.
    for (const line of text.trimEnd().split('\n'))
      expect(line).toMatch(/^(# (HELP|TYPE) .+|[a-z_]+(\{[^}]*\})? (NaN|[+-]?Inf|[-+0-9.e]+))?$/u);

    const gateway = /(http:\/\/127\.0\.0\.1:\d+)/u.exec(
      daemon.stdout.split('\n').find((line) => line.includes('http') && !line.includes('metrics')) ?? '',
    )?.[1];
    const authorization = { authorization: `Bearer ${httpToken}` };
    const main = await fetch(`${gateway ?? ''}/metrics`, { headers: authorization });
    expect(main.status).toBe(404);
  });

  test('row 162: alive at once, ready once it serves, and nothing else there', async () => {
    const home = hearth.makeHome();
    const daemon = hearth.spawnServe({
      home,
      args: ['--metrics-port', String(await freePorts())],
      mock: { ready_after_ms: 4000 },
    });
    const port = /--metrics-port (\d+)/u.exec(daemon.child.spawnargs.join(' '))?.[1] ?? '';
    const url = `http://127.0.0.1:${port}`;
    const early = await until(
      async () => fetch(`${url}/ready`).catch(() => undefined),
      () => 'the port of health does not answer',
    );
    expect(early.status).toBe(503);
    const told: unknown = await early.json();
    expect(told).toMatchObject({ ready: false, unmet_conditions: ['inference socket is not bound'] });
    const alive = await fetch(`${url}/health`);
    expect(alive.status).toBe(200);
    expect(await alive.json()).toEqual({ status: 'healthy', message: null });
    (await daemon.ready()).destroy();
    const ready = await until(
      async () => {
        const answer = await fetch(`${url}/ready`);
        return answer.status === 200 ? answer : undefined;
      },
      () => 'never ready',
    );
    expect(await ready.json()).toEqual({ ready: true, unmet_conditions: [] });
    expect((await fetch(`${url}/elsewhere`)).status).toBe(404);
    expect((await fetch(`${url}/health`, { method: 'POST' })).status).toBe(405);
    expect((await fetch(`${url}/metrics`)).status).toBe(200);
  });

  test('row 162: the port of health is nobody else’s', async () => {
    for (const other of [{ tcp: '127.0.0.1:45999' }, { http: '127.0.0.1:45999' }]) {
      const home = hearth.makeHome();
      const daemon = hearth.spawnServe({ home, args: configured(home, { ...other, metrics_port: 45_999 }) });
      expect(await daemon.end()).toMatchObject({ code: 2 });
      expect(daemon.stderr).toMatch(/metrics_port: is the port of/u);
    }
  });
});
