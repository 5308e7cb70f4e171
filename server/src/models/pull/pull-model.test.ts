import { createHash } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { promises as fs } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ModelStore } from '../store/model-store.js';
import { ModelServer } from '../testing/model-server.js';
import { makeTinyGguf } from '../testing/tiny-gguf.js';
import { PullError } from './pull-error.js';
import { type PullOptions, type PullProgress, pullModel, type Pulled } from './pull-model.js';
import { defaultPullPolicy } from './pull-policy.js';
import { parsePullSource } from './pull-source.js';

const tiny = makeTinyGguf();
const other = makeTinyGguf({ seed: 2 });
const hashOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

let folder: string;
let store: ModelStore;
let server: ModelServer;
let progress: PullProgress[];

beforeEach(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'hearth-pull-'));
  store = new ModelStore(path.join(folder, 'models'));
  server = await ModelServer.start(tiny);
  progress = [];
});
afterEach(async () => {
  await server.close();
  await fs.rm(folder, { recursive: true, force: true });
});

const policy = { ...defaultPullPolicy, allowLoopback: true };

function pull(options: Partial<PullOptions> = {}): Promise<Pulled> {
  return pullModel({
    store,
    source: parsePullSource(server.url()),
    policy,
    signal: new AbortController().signal,
    onProgress: (step) => progress.push(step),
    tuning: { parts: 4, leastPartBytes: 64 * 1024, pauseMs: 1, stallMs: 2000 },
    ...options,
  });
}

async function problem(options: Partial<PullOptions> = {}): Promise<string> {
  const outcome = await pull(options).then(
    () => 'fine',
    (error: unknown) => error,
  );
  if (!(outcome instanceof PullError)) throw new Error(String(outcome), { cause: outcome });
  expect(outcome.message).not.toContain(folder);
  expect((await store.list()).models).toEqual([]);
  return outcome.problem;
}

/** Everything in the store, by directory. */
async function contents(directory: string): Promise<readonly string[]> {
  return fs.readdir(path.join(store.home, directory)).catch(() => []);
}

async function expectThere(bytes: Buffer): Promise<void> {
  expect(await fs.readFile(store.blobPath(hashOf(bytes)))).toEqual(bytes);
  expect(await contents('partial')).toEqual([]);
}

test('a model is fetched in parts, checked, and has its name last', async () => {
  const { manifest, alreadyThere } = await pull({ expected: { sha256: hashOf(tiny), by: 'user' } });
  expect(manifest).toMatchObject({
    name: 'model',
    displayName: 'tiny-random',
    file: { kind: 'blob', sha256: hashOf(tiny) },
    source: { kind: 'download', url: server.url(), checkedBy: 'user' },
    purpose: 'generate',
    infill: true,
    quantization: 'F32',
  });
  expect(alreadyThere).toBe(false);
  await expectThere(tiny);
  const ranges = server.requests.map(({ range }) => range);
  expect(ranges).toHaveLength(5);
  expect(ranges[0]).toBe('bytes=0-0');
  const told = progress.flatMap((step) => (step.phase === 'download' ? [step.downloadedBytes] : []));
  expect(told).toEqual(told.toSorted((one, next) => one - next));
  expect(told.at(-1)).toBe(tiny.length);
  expect(progress.at(-1)).toEqual({ phase: 'verify', hashedBytes: tiny.length, totalBytes: tiny.length });
});

test('what is there is not fetched again, and another source of that name is refused', async () => {
  await pull();
  const requests = server.requests.length;
  expect(await pull()).toMatchObject({ alreadyThere: true });
  expect(server.requests).toHaveLength(requests);
  await expect(pull({ source: parsePullSource(server.url('other/model.gguf')) })).rejects.toThrow(/--name/u);
});

describe('going on with what was left', () => {
  /** Cuts the connection of each part after half of it, and refuses from then on. */
  function breakOff(): void {
    let answers = 0;
    server.behaviour = ({ range, response }) => {
      const match = /^bytes=(\d+)-(\d+)$/u.exec(range ?? '');
      if (match === null || range === 'bytes=0-0') return false;
      answers += 1;
      if (answers > 4) {
        response.writeHead(503).end();
        return true;
      }
      const [start, end] = [Number(match[1]), Number(match[2])];
      response.writeHead(206, {
        etag: server.etag,
        'content-range': `bytes ${String(start)}-${String(end)}/${String(tiny.length)}`,
        'content-length': end - start + 1,
      });
      response.write(tiny.subarray(start, start + Math.floor((end - start) / 2)), () => response.destroy());
      return true;
    };
  }

  test('a connection that breaks for good leaves what had come; the next pull fetches only the rest', async () => {
    breakOff();
    expect(await problem()).toBe('unreachable');
    expect(await contents('partial')).toHaveLength(2);
    server.behaviour = () => false;
    const { resumedBytes } = await pull();
    expect(resumedBytes).toBeGreaterThan(tiny.length / 3);
    const asked = server.requests.at(-1)?.range ?? '';
    expect(asked).not.toMatch(/=0-/u);
    await expectThere(tiny);
  });

  test('a file that has changed meanwhile is fetched anew, never spliced', async () => {
    breakOff();
    await problem();
    server.behaviour = () => false;
    [server.bytes, server.etag] = [other, '"two"'];
    expect((await pull()).resumedBytes).toBe(0);
    await expectThere(other);
  });

  test('an ETag that changes in the middle makes it begin again with the new file', async () => {
    let requests = 0;
    server.behaviour = () => {
      requests += 1;
      if (requests === 3) [server.bytes, server.etag] = [other, '"two"'];
      return false;
    };
    await pull();
    await expectThere(other);
  });

  test('a source that changes with each answer is given up', async () => {
    let version = 0;
    server.behaviour = () => {
      server.etag = `"${String((version += 1))}"`;
      return false;
    };
    expect(await problem()).toBe('bad_server');
    expect(await contents('partial')).toEqual([]);
  });

  test('a cancel leaves what had come, and the next pull goes on', async () => {
    const cancel = new AbortController();
    // Each part begins, and then nothing more comes.
    const done = pull({
      tuning: { parts: 4, leastPartBytes: 64 * 1024, stallMs: 60_000 },
      signal: cancel.signal,
      onProgress: (step) => {
        if (step.phase === 'download' && step.downloadedBytes > 0) cancel.abort();
      },
    });
    server.behaviour = ({ range, response }, { etag, bytes }) => {
      const match = /^bytes=(\d+)-(\d+)$/u.exec(range ?? '');
      if (match === null || range === 'bytes=0-0') return false;
      const [start, end] = [Number(match[1]), Number(match[2])];
      response.writeHead(206, {
        etag,
        'content-range': `bytes ${String(start)}-${String(end)}/${String(bytes.length)}`,
      });
      response.write(bytes.subarray(start, start + 20_000));
      return true;
    };
    await expect(done).rejects.toMatchObject({ name: 'AbortError' });
    expect(await contents('partial')).toHaveLength(2);
    server.behaviour = () => false;
    expect((await pull()).resumedBytes).toBeGreaterThan(0);
    await expectThere(tiny);
  });

  test('a state that lies, or a part file that is gone, is not believed', async () => {
    breakOff();
    await problem();
    server.behaviour = () => false;
    const [part = ''] = (await contents('partial')).filter((name) => name.endsWith('.part'));
    await fs.truncate(path.join(store.partialDirectory, part), 10);
    expect((await pull()).resumedBytes).toBe(0);
    await expectThere(tiny);
  });
});

describe('servers that do not keep their word', () => {
  test('one that cuts each answer short is gone on with while it gives something', async () => {
    server.behaviour = ({ range, response }) => {
      const match = /^bytes=(\d+)-(\d+)$/u.exec(range ?? '');
      if (match === null || range === 'bytes=0-0') return false;
      const [start, end] = [Number(match[1]), Number(match[2])];
      const given = tiny.subarray(start, Math.min(end + 1, start + 70_000));
      const headers = { 'content-range': `bytes ${String(start)}-${String(end)}/${String(tiny.length)}` };
      response.writeHead(206, { etag: server.etag, ...headers, 'content-length': end - start + 1 });
      response.write(given, () => (given.length < end - start + 1 ? response.destroy() : response.end()));
      return true;
    };
    await pull();
    await expectThere(tiny);
  });

  test('one that drips is waited for', async () => {
    server.bytes = tiny;
    server.behaviour = async ({ range, response }) => {
      const match = /^bytes=(\d+)-(\d+)$/u.exec(range ?? '');
      if (match === null || range === 'bytes=0-0') return false;
      const [start, end] = [Number(match[1]), Number(match[2])];
      response.writeHead(206, {
        etag: server.etag,
        'content-range': `bytes ${String(start)}-${String(end)}/${String(tiny.length)}`,
      });
      for (let at = start; at <= end; at += 16_384) {
        response.write(tiny.subarray(at, Math.min(at + 16_384, end + 1)));
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      response.end();
      return true;
    };
    await pull();
    await expectThere(tiny);
  });

  test('one that falls silent counts as unreachable', async () => {
    server.behaviour = ({ response }) => {
      response.writeHead(200, { 'content-length': tiny.length }).flushHeaders();
      return true;
    };
    expect(await problem({ tuning: { pauseMs: 1, stallMs: 50 } })).toBe('unreachable');
  });

  test.each([
    ['another range', 'bytes 7-1000/452896'],
    ['a longer range', 'bytes 0-452895/452896'],
    ['no range', 'bytes */452896'],
    ['nonsense', 'lines 1-2/3'],
    ['an end before the start', 'bytes 9-3/452896'],
  ])('a 206 with %s is refused', async (_what, range) => {
    server.behaviour = (seen) => {
      if (seen.range === 'bytes=0-0') return false;
      seen.response.writeHead(206, { etag: server.etag, 'content-range': range }).end(tiny.subarray(0, 1000));
      return true;
    };
    expect(await problem()).toBe('bad_server');
  });

  test('a body that goes on beyond what was said is refused', async () => {
    server.behaviour = ({ range, response }) => {
      const match = /^bytes=(\d+)-(\d+)$/u.exec(range ?? '');
      if (match === null || range === 'bytes=0-0') return false;
      response.writeHead(206, {
        etag: server.etag,
        'content-range': `bytes ${match[1] ?? ''}-${match[2] ?? ''}/${String(tiny.length)}`,
      });
      response.end(tiny);
      return true;
    };
    expect(await problem()).toBe('bad_server');
  });

  test('one without ranges gives the file in one piece, and one without a length does too', async () => {
    server.behaviour = ({ response }) => {
      response.writeHead(200).end(tiny);
      return true;
    };
    await pull();
    await expectThere(tiny);
    expect(progress[0]).toMatchObject({ phase: 'download', totalBytes: null });
  });

  test('one that answers a range with all of it, under the same name, is not trusted with ranges', async () => {
    server.behaviour = ({ range, response }) => {
      if (range === 'bytes=0-0') return false;
      response.writeHead(200, { etag: server.etag, 'content-length': tiny.length }).end(tiny);
      return true;
    };
    expect(await problem()).toBe('bad_server');
  });

  test('CVE-2024-12886: a compressed body is not unpacked', async () => {
    server.behaviour = ({ response }) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(1_000_000)));
      return true;
    };
    expect(await problem()).toBe('bad_server');
  });

  test('a web page is no model, whatever its name', async () => {
    server.bytes = Buffer.from('<!doctype html>'.padEnd(100_000));
    expect(await problem()).toBe('wrong_content');
  });

  test('a file larger than may be is not begun, and one that grows beyond it is ended', async () => {
    const small = { policy: { ...policy, mostBytes: 100_000 } };
    expect(await problem(small)).toBe('too_large');
    server.behaviour = ({ response }) => {
      response.writeHead(200).end(tiny);
      return true;
    };
    expect(await problem(small)).toBe('too_large');
  });

  test.each([
    [404, 'not_found'],
    [401, 'not_permitted'],
    [403, 'not_permitted'],
    [500, 'unreachable'],
  ])('an answer of %i is said to be %s', async (status, expected) => {
    server.behaviour = ({ response }) => {
      response.writeHead(status).end();
      return true;
    };
    expect(await problem()).toBe(expected);
  });
});

describe('row 86: a download whose bytes are not those that were promised', () => {
  test('is set aside, has no name, and the next pull begins anew', async () => {
    const good = Buffer.from(tiny);
    server.bytes = Buffer.from(tiny);
    server.bytes[tiny.length - 1] = 0x7f;
    const expected = { sha256: hashOf(good), by: 'user' } as const;
    expect(await problem({ expected })).toBe('wrong_content');
    expect(await contents('quarantine')).toHaveLength(1);
    expect(await contents('blobs')).toEqual([]);
    expect(await contents('partial')).toEqual([]);
    server.bytes = good;
    await pull({ expected });
    await expectThere(good);
  });

  test('is noticed by what Hugging Face says of the file, without anybody else saying it', async () => {
    const source = { ...parsePullSource(server.url()), isHuggingFace: true };
    server.behaviour = ({ path: place, response }) => {
      if (place.startsWith('/cdn')) return false;
      response.writeHead(302, { location: '/cdn/file', 'x-linked-etag': `"${hashOf(other)}"` }).end();
      return true;
    };
    expect(await problem({ source })).toBe('wrong_content');
    server.bytes = other;
    expect((await pull({ source })).manifest.source).toMatchObject({ checkedBy: 'server' });
  });

  test('that is no whole GGUF file is set aside too', async () => {
    server.bytes = tiny.subarray(0, 200_000);
    await expect(pull()).rejects.toMatchObject({ problem: 'truncated' });
    expect(await contents('quarantine')).toHaveLength(1);
    expect((await store.list()).models).toEqual([]);
  });
});

describe('where models may come from', () => {
  test('CVE-2025-51471: the token goes to the origin that was asked, and not where that redirects to', async () => {
    const elsewhere = await ModelServer.start(tiny);
    server.behaviour = ({ path: place, response }) => {
      const location = place === '/models/model.gguf' ? '/again' : elsewhere.url();
      response.writeHead(302, { location }).end();
      return true;
    };
    await pull({ token: 'secret' });
    await elsewhere.close();
    expect(new Set(server.requests.map(({ authorization }) => authorization))).toEqual(
      new Set(['Bearer secret']),
    );
    expect(new Set(elsewhere.requests.map(({ authorization }) => authorization))).toEqual(
      new Set([undefined]),
    );
  });

  test('a redirect without end is not followed', async () => {
    server.behaviour = ({ response }) => {
      response.writeHead(302, { location: '/models/model.gguf' }).end();
      return true;
    };
    expect(await problem()).toBe('bad_server');
    expect(server.requests).toHaveLength(6);
  });

  test.each([
    'https://evil.example/x.gguf',
    'http://example.com/x.gguf',
    'file:///etc/passwd',
    'ftp://huggingface.co/x',
  ])('a redirect to %s is refused', async (location) => {
    server.behaviour = ({ response }) => {
      response.writeHead(302, { location }).end();
      return true;
    };
    expect(await problem()).toBe('host_not_allowed');
  });

  test('hosts are taken by their whole name', async () => {
    const refused = [
      'https://huggingface.co.evil.example/m.gguf',
      'https://evilhf.co/m.gguf',
      'https://a.github.com/m.gguf',
    ];
    for (const url of refused)
      expect(await problem({ source: parsePullSource(url) })).toBe('host_not_allowed');
  });

  test('nothing is fetched over http, from this machine, or offline, unless that is allowed', async () => {
    expect(await problem({ policy: defaultPullPolicy })).toBe('host_not_allowed');
    expect(await problem({ policy: { ...policy, offline: true } })).toBe('offline');
    expect(server.requests).toEqual([]);
  });
});

test('two pulls of one model at a time: the second is told so', async () => {
  const steps = new EventEmitter();
  const asked = once(steps, 'asked');
  const refused = once(steps, 'refused').then(() => false);
  // The first has the model to itself from before it asks the server, and goes on when the second has been refused.
  server.behaviour = () => {
    steps.emit('asked');
    return refused;
  };
  const first = pull({ tuning: { parts: 1, leastPartBytes: 64 * 1024, pauseMs: 1, stallMs: 60_000 } });
  await asked;
  await expect(pull({ name: 'again' })).rejects.toMatchObject({ code: 'backend_unavailable' });
  steps.emit('refused');
  await first;
});
