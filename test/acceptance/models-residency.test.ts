import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { hearthScope, type HearthProcess, type Home } from '../support/daemon.js';
import { addModel, storeOf } from '../support/model-store.js';
import { askOnce, type Frame, say } from '../support/raw-client.js';

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
  await serve('--max-loaded-models', '1');
  const all = await Promise.all(
    Array.from({ length: 30 }, (_, index) => ask(['alpha', 'beta', 'gamma'][index % 3] ?? '')),
  );
  for (const [index, frames] of all.entries()) {
    expect(frames.at(-1)).toMatchObject({ type: 'done', backend: ['alpha', 'beta', 'gamma'][index % 3] });
  }
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
    await hearth.serve({ home, args: ['--queue-depth', '2'] });
    const all = await Promise.all(Array.from({ length: 8 }, () => ask('alpha', { events: true })));
    const refused = all.filter((frames) => frames.at(-1)?.['code'] === 'queue_full');
    const served = all.filter((frames) => frames.at(-1)?.['type'] === 'done');
    expect(refused.length + served.length).toBe(8);
    expect(served.length).toBeGreaterThanOrEqual(3);
    expect(refused.length).toBeGreaterThanOrEqual(1);
  });
});

test.runIf(process.platform === 'linux')(
  'a worker that dies while it loads is started again for the same requests',
  async () => {
    const daemon = await serve();
    const client = await daemon.connect();
    await client.sendJson(say('waits', { model: 'alpha', events: true, max_tokens: 3 }));
    while ((await client.frame())['type'] !== 'loading');
    const children = (): readonly number[] =>
      readFileSync(`/proc/${daemon.pid}/task/${daemon.pid}/children`, 'utf8')
        .trim()
        .split(' ')
        .filter(Boolean)
        .map(Number);
    let worker = children()[0];
    while (worker === undefined) {
      await client.frame();
      worker = children()[0];
    }
    process.kill(worker, 'SIGKILL');
    for (;;) {
      const frame = await client.frame();
      if (frame['type'] !== 'done') continue;
      expect(frame).toMatchObject({ backend: 'alpha' });
      break;
    }
    client.destroy();
  },
);
