import { beforeEach, describe, expect, test } from 'vitest';
import { hearthScope, type HearthProcess, type Home } from '../support/daemon.js';
import { addModel, storeOf } from '../support/model-store.js';
import { descendants } from '../support/processes.js';
import { askOnce, type Frame, say } from '../support/raw-client.js';
import { until } from '../support/wait.js';

/** Several models over real daemons and real workers. */

const hearth = hearthScope('test');
let home: Home;

beforeEach(async () => {
  home = hearth.makeHome();
  for (const name of ['alpha', 'beta', 'gamma']) await addModel(storeOf(home), name);
});

function serve(...args: readonly string[]): Promise<HearthProcess> {
  return hearth.serve({ home, args: ['--queue-depth', '40', '--model-stay-secs', '0', ...args] });
}

function loadsIn(): number {
  return home.log.matching({ msg: 'model_loaded' }).length;
}

async function ask(model: string, extra: Readonly<Record<string, unknown>> = {}): Promise<readonly Frame[]> {
  return askOnce(home.inferenceSocket, say(`${model}-request`, { model, max_tokens: 3, ...extra }));
}

test('a request for a model that is not loaded waits for its load and is told of it', async () => {
  await serve();
  const frames = await ask('alpha', { events: true });
  expect(frames.at(-1)).toMatchObject({ type: 'done', backend: 'alpha', usage: { completion_tokens: 3 } });
  expect(frames[0]).toMatchObject({ type: 'accepted' });
  expect(frames).toContainEqual(expect.objectContaining({ type: 'loading', model: 'alpha' }));
  // Without events a client of version 1 sees what it always did.
  const plain = await ask('beta');
  expect(new Set(plain.map(({ type }) => type))).toEqual(new Set(['token', 'done']));
});

test('ABC × 10 that arrive at once, with room for one model, cost three loads', async () => {
  const daemon = await serve('--max-loaded-models', '1');
  const wanted = Array.from({ length: 30 }, (_, index) => ['alpha', 'beta', 'gamma'][index % 3] ?? '');
  const client = await daemon.connect();
  // In one write, so that they are all there before the first load has ended.
  await client.sendJson(...wanted.map((model, index) => say(`r${index}`, { model, max_tokens: 3 })));
  const ends = new Map<unknown, Frame>();
  while (ends.size < wanted.length) {
    const end = (await client.reply()).at(-1) ?? {};
    ends.set(end['id'], end);
  }
  client.destroy();
  for (const [index, backend] of wanted.entries())
    expect(ends.get(`r${index}`)).toMatchObject({ type: 'done', backend });
  expect(loadsIn()).toBe(3);
});

test('requests that need longer and shorter contexts in turns cost no load after the first', async () => {
  await serve();
  for (let index = 0; index < 20; index += 1) await ask('alpha', { max_tokens: [1, 20, 60][index % 3] });
  expect(loadsIn()).toBe(1);
});

test('a load outlives the client that asked first, and serves the next', async () => {
  const daemon = await serve();
  const first = await daemon.connect();
  await first.sendJson(say('first', { model: 'alpha', events: true }));
  while ((await first.frame())['type'] !== 'loading');
  first.destroy();
  expect((await ask('alpha')).at(-1)).toMatchObject({ type: 'done' });
  expect(loadsIn()).toBe(1);
});

describe('what cannot be', () => {
  test('a name that nothing has is refused, and so is one that is a path', async () => {
    await serve();
    for (const model of ['delta', '../alpha', '/etc/passwd', 'ALPHA', 'a'.repeat(200)]) {
      const frames = await ask(model, { events: true });
      expect(frames).toMatchObject([{ type: 'error', code: 'model_not_found' }]);
    }
  });

  test('a model whose file is damaged ends its own requests, and the others are served', async () => {
    await addModel(storeOf(home), 'broken');
    const { file } = await storeOf(home).read('broken');
    if (file.kind !== 'blob') throw new Error('not a blob');
    const { chmodSync, truncateSync } = await import('node:fs');
    chmodSync(storeOf(home).blobPath(file.sha256), 0o600);
    truncateSync(storeOf(home).blobPath(file.sha256), 1000);
    await serve();
    const [broken, alpha] = await Promise.all([ask('broken', { events: true }), ask('alpha')]);
    expect(broken.at(-1)).toMatchObject({ type: 'error', code: 'model_load_failed' });
    expect(alpha.at(-1)).toMatchObject({ type: 'done' });
  });

  test('the bound of admission holds for those who wait for a load too', async () => {
    const daemon = await hearth.serve({ home, args: ['--queue-depth', '2'] });
    const client = await daemon.connect();
    await client.sendJson(
      ...Array.from({ length: 8 }, (_, index) =>
        say(`r${index}`, { model: 'alpha', max_tokens: 3, events: true }),
      ),
    );
    const ends: (Frame | undefined)[] = [];
    while (ends.length < 8) ends.push((await client.reply()).at(-1));
    client.destroy();
    const refused = ends.filter((end) => end?.['code'] === 'queue_full');
    const served = ends.filter((end) => end?.['type'] === 'done');
    expect(refused.length + served.length).toBe(8);
    expect(served.length).toBeGreaterThanOrEqual(3);
    expect(refused.length).toBeGreaterThanOrEqual(1);
  });
});

test.runIf(process.platform === 'linux')(
  'a worker that dies while it loads is started again for the same requests',
  async () => {
    // On a busy machine the load may be over before it is seen: then it is tried once more.
    for (let attempt = 1; ; attempt += 1) {
      const daemon = await serve();
      const client = await daemon.connect();
      const loadsBefore = loadsIn();
      await client.sendJson(say('waits', { model: 'alpha', events: true, max_tokens: 3 }));
      while ((await client.frame())['type'] !== 'loading');
      const worker = await until(
        () => descendants(daemon.pid)[0]?.pid,
        () => 'no worker came',
      );
      const isLoaded = loadsIn() > loadsBefore;
      process.kill(worker, 'SIGKILL');
      const end = (await client.reply()).at(-1);
      client.destroy();
      await daemon.stop();
      if (attempt < 5 && (isLoaded || end?.['type'] !== 'done')) continue;
      expect(isLoaded).toBe(false);
      expect(end).toMatchObject({ type: 'done', backend: 'alpha' });
      return;
    }
  },
);
