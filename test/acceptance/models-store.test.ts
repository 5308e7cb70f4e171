import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Exit, hearthScope, type HearthProcess, type Home } from '../support/daemon.js';
import { addModel, ModelServer, storeOf, writeSyntheticModel } from '../support/model-store.js';
import { askOnce, say } from '../support/raw-client.js';
import { RpcPeer } from '../support/rpc-peer.js';
import { makeTinyGguf } from '../support/tiny-gguf.js';

/** The store from the command line and from an editor, against a server that a test makes as bad as it likes. */

const hearth = hearthScope('test');
const tiny = makeTinyGguf();
const sha256 = createHash('sha256').update(tiny).digest('hex');
let home: Home;
let server: ModelServer;

beforeEach(async () => {
  home = hearth.makeHome();
  server = await ModelServer.start(tiny);
});
afterEach(async () => {
  await server.close();
});

function start(...args: readonly string[]): HearthProcess {
  return hearth.run(args, { home, env: { HF_ENDPOINT: server.origin } });
}

async function run(
  ...args: readonly string[]
): Promise<Exit & { readonly out: string; readonly err: string }> {
  const started = start(...args);
  const exit = await started.end();
  return { ...exit, out: started.stdout, err: started.stderr };
}

describe('a new user', () => {
  test('pulls a model from Hugging Face, sees it, verifies it, asks it, and removes it', async () => {
    expect((await run('models')).out).toContain('hearth models recommend');
    const pulled = await run('pull', 'hf:someone/some-model-GGUF/some-model-f32.gguf');
    expect(pulled).toMatchObject({ code: 0 });
    expect(pulled.err).toMatch(/fetching .* 100 %/u);
    expect(pulled.out).toContain('Fetched some-model-f32');
    expect(server.requests[0]?.path).toBe('/someone/some-model-GGUF/resolve/main/some-model-f32.gguf');

    expect((await run('models')).out).toMatch(/some-model-f32 .* F32 .* 256 .* chat and ghost text/u);
    expect((await run('verify')).out).toContain('good  some-model-f32');
    expect((await run('models', 'fit', 'some-model-f32')).out).toContain('256 tokens of context');
    const serving = await hearth.serve({ plain: true, home, args: ['--model', 'some-model-f32'] });
    expect((await askOnce(home.inferenceSocket, say('x', { max_tokens: 2 }))).at(-1)).toMatchObject({
      type: 'done',
    });

    const guarded = await run('rm', 'some-model-f32', '--runtime-dir', home.runtimeDir);
    expect(guarded.code).not.toBe(0);
    expect(guarded.err).toContain('loaded');
    // Whoever asks need not know where that daemon runs.
    const elsewhere = path.join(home.root, 'elsewhere');
    expect((await run('rm', 'some-model-f32', '--runtime-dir', elsewhere)).err).toContain('loaded');
    await serving.stop();
    expect((await run('rm', 'some-model-f32', '--runtime-dir', home.runtimeDir)).out).toContain(
      'are free again',
    );
    expect(fs.readdirSync(path.join(storeOf(home).home, 'blobs'))).toEqual([]);
  });

  test('asks for the Vulkan build, and a package that is not the pinned one is not unpacked', async () => {
    server.bytes = gzipSync('another package');
    const added = await run('accelerator', 'add', 'vulkan', '--registry', server.origin);
    const isPossible = ['linux', 'win32'].includes(process.platform) && process.arch === 'x64';
    expect(added.code).not.toBe(0);
    expect(added.err).toContain(isPossible ? 'was not unpacked' : 'no vulkan build');
    if (isPossible) expect(server.requests[0]?.path).toMatch(/vulkan\/-\/.*-vulkan-[\d.]+\.tgz$/u);
    expect((await run('accelerator', 'add', 'rocm')).err).toContain('vulkan and for cuda');
    expect((await run('accelerator', 'remove', 'vulkan')).out).toContain('There is no Vulkan build');
    // A daemon that is to use it serves all the same, and says why it does not.
    const serving = await hearth.serve({ plain: true, home, args: ['--accelerator', 'vulkan'] });
    const status = await run('status', '--runtime-dir', home.runtimeDir);
    expect(status.out).toMatch(/on the processor.* no graphics card: .*ulkan build/u);
    await serving.stop();
  });

  test('stops a pull with Ctrl-C, and the same command goes on where it was', async () => {
    server.bytes = makeTinyGguf();
    let drips = true;
    server.behaviour = ({ range, response }) => {
      const match = /^bytes=(\d+)-(\d+)$/u.exec(range ?? '');
      if (!drips || match === null || range === 'bytes=0-0') return false;
      const [from, end] = [Number(match[1]), Number(match[2])];
      response.writeHead(206, {
        etag: server.etag,
        'content-range': `bytes ${String(from)}-${String(end)}/${String(tiny.length)}`,
      });
      response.write(tiny.subarray(from, from + 200_000));
      return true;
    };
    const first = start('pull', 'hf:a/b/m.gguf');
    // Something has come, and more does not.
    while (!/[1-9]\d* %/u.test(first.stderr))
      await new Promise((resolve) => first.child.stderr?.once('data', resolve));
    first.signal('SIGINT');
    expect((await first.end()).code).toBe(130);
    expect(first.stderr).toContain('the same command goes on');
    expect((await run('models')).out).toMatch(/Not fetched whole: .*m\.gguf, \d+ kB of 453 kB\. The same/u);
    drips = false;
    const second = await run('pull', 'hf:a/b/m.gguf');
    expect(second.out).toMatch(/Fetched m, .* were there from before/u);
  });

  test('is told what is wrong, without a stack', async () => {
    const bad = [
      [['pull', 'nothing'], /hf:owner\/repository\/file\.gguf/u],
      [['pull', 'https://example.com/m.gguf'], /--allow-host/u],
      [['pull', 'hf:a/b/m.gguf', '--sha256', 'abc'], /64 hexadecimal/u],
      [['pull', 'hf:a/b/m.gguf', '--sha256', 'a'.repeat(64)], /was set aside/u],
      [['import', '/'], /not a file/u],
      [['import', 'absent.gguf'], /no such model file/u],
      [['rm', '../x'], /Names have small letters/u],
      [['verify', 'absent'], /no model "absent"/u],
      [['models', 'fit', 'pilot', '--context-size', 'many'], /not a number/u],
      [['models', 'fit', 'pilot', '--context-size', '1'], /--context-size takes a number from 64/u],
      [['models', 'fitt'], /unknown command 'fitt'/u],
      [['accelerator', 'ad', 'vulkan'], /unknown command 'ad'/u],
      [['pull', 'qwen2.5-coder'], /no model of just that name.* qwen2\.5-coder-0\.5b/u],
      [['import', '--name', 'x'], /give its path too/u],
    ] as const;
    for (const [args, text] of bad) {
      const { code, err } = await run(...args);
      expect(code, args.join(' ')).not.toBe(0);
      expect(err).toMatch(text);
      expect(err).not.toMatch(/\n\s+at /u);
    }
    expect(fs.readdirSync(storeOf(home).quarantineDirectory)).toHaveLength(1);
    expect((await run('models')).out).toMatch(/Set aside: 453 kB .*quarantine/u);
    // The same again takes the place of what was set aside before.
    await run('pull', 'hf:a/b/m.gguf', '--sha256', 'a'.repeat(64));
    expect(fs.readdirSync(storeOf(home).quarantineDirectory)).toHaveLength(1);
  });

  test('takes over what other programs have, without a copy, and is told when that is gone', async () => {
    const blobs = path.join(home.home, '.ollama/models/blobs');
    const manifests = path.join(home.home, '.ollama/models/manifests/registry.ollama.ai/library/tiny');
    const studio = path.join(home.home, '.lmstudio/models/someone/Tiny-GGUF');
    const cache = path.join(home.home, '.cache/huggingface/hub/models--a--b');
    for (const folder of [blobs, manifests, studio, `${cache}/blobs`, `${cache}/snapshots/1`])
      fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(path.join(blobs, `sha256-${sha256}`), tiny);
    const layers = [{ mediaType: 'application/vnd.ollama.image.model', digest: `sha256:${sha256}` }];
    fs.writeFileSync(path.join(manifests, '1b'), JSON.stringify({ layers }));
    fs.writeFileSync(path.join(studio, 'Tiny-Q8.gguf'), makeTinyGguf({ seed: 3 }));
    fs.writeFileSync(path.join(studio, 'broken.gguf'), 'no model');
    fs.writeFileSync(path.join(cache, 'blobs', sha256), tiny);
    fs.symlinkSync(`../../blobs/${sha256}`, path.join(cache, 'snapshots/1/tiny-hf.gguf'));
    fs.symlinkSync('/etc/passwd', path.join(cache, 'snapshots/1/evil.gguf'));

    expect((await run('import', '--dry-run')).out).toMatch(/would import {2}tiny:1b, 453 kB \(ollama\)/u);
    const alone = path.join(studio, 'Tiny-Q8.gguf');
    expect((await run('import', alone, '--dry-run')).out).toMatch(/would import {2}Tiny-Q8\.gguf/u);
    expect((await run('models')).out).toContain('The store is empty');
    const { out } = await run('import');
    expect(out).toMatch(/imported {2}tiny-1b, .*\(ollama\)/u);
    expect(out).toMatch(/imported {2}tiny-q8, .*\(lm-studio\)/u);
    expect(out).toMatch(/imported {2}tiny-hf, .*\(hugging-face\)/u);
    expect(out).toMatch(/left out {2}broken\.gguf/u);
    expect(out).not.toContain('evil');
    expect(fs.existsSync(path.join(storeOf(home).home, 'blobs'))).toBe(false);
    expect((await run('verify')).code).toBe(0);

    fs.rmSync(path.join(studio, 'Tiny-Q8.gguf'));
    const verified = await run('verify');
    expect(verified.code).toBe(4);
    expect(verified.out).toMatch(/BAD {3}tiny-q8: its file is gone/u);
    const asJson = JSON.parse((await run('verify', '--json')).out) as { name: string; good: boolean }[];
    expect(asJson.filter(({ good }) => !good).map(({ name }) => name)).toEqual(['tiny-q8']);
    expect((await run('rm', 'tiny-1b')).out).toContain('stays with the program');
    expect(fs.existsSync(path.join(blobs, `sha256-${sha256}`))).toBe(true);
  });

  test('is recommended what suits the machine, by what was measured on it', async () => {
    const first = await run('models', 'recommend', '--json');
    expect(first.err).toContain('measuring');
    const { machine, models } = JSON.parse(first.out) as {
      machine: { bytesPerSecond: number };
      models: { isBest: boolean; tokensPerSecond: number }[];
    };
    expect(machine.bytesPerSecond).toBeGreaterThan(1e6);
    expect(models.length).toBeGreaterThan(8);
    expect((await run('models', 'recommend')).err).not.toContain('measuring');
  });
});

describe('over JSON-RPC', () => {
  test('row 53: a download tells the admin socket what has come, at least every 32 MiB or 5 s', async () => {
    const file = path.join(home.root, 'large.gguf');
    const shape = {
      width: 512,
      layers: 12,
      heads: 8,
      keyValueHeads: 4,
      feedForward: 1536,
      vocabulary: 24_000,
      contextLength: 512,
    };
    const size = await writeSyntheticModel(file, shape);
    server.bytes = fs.readFileSync(file);
    const daemon = await hearth.serve({ home, env: { HF_ENDPOINT: server.origin } });
    const admin = await daemon.admin();
    await admin.until('ready');
    const peer = await RpcPeer.connect(home.rpcSocket);
    const answer = await peer.request('hearth/pullModel', {
      source: 'hf:a/b/large.gguf',
      progressToken: 'p',
    });
    expect(answer['result']).toMatchObject({ name: 'large', sizeBytes: size, alreadyThere: false });
    await admin.until('ready');
    const told = admin.seen.filter((frame) => frame['phase'] === 'download');
    expect(told.length).toBeGreaterThan(2);
    let last = 0;
    for (const frame of told) {
      expect(frame).toMatchObject({
        id: 'admin',
        type: 'status',
        status: 'loading_model',
        total_bytes: size,
      });
      expect(frame['source_url']).toBe(`${server.origin}/a/b/resolve/main/large.gguf`);
      const bytes = Number(frame['downloaded_bytes']);
      expect(bytes - last).toBeLessThanOrEqual(33 * 1024 * 1024);
      last = bytes;
    }
    expect(last).toBe(size);
    expect(await peer.notified('$/progress')).toMatchObject({ params: { token: 'p' } });
    expect(home.log.matching({ msg: 'model_pulled' })).toHaveLength(1);
    peer.close();
  });

  test('what PROTOCOL.md shows of models is what happens', async () => {
    server.bytes = tiny;
    await hearth.serve({ plain: true, home, env: { HF_ENDPOINT: server.origin } });
    const peer = await RpcPeer.connect(home.rpcSocket);
    const document = fs.readFileSync(new URL('../../protocol/PROTOCOL.md', import.meta.url), 'utf8');
    const block = /^```rpc-models\n([\s\S]*?)^```$/mu.exec(document)?.[1] ?? '';
    const lines = block.trimEnd().split('\n');
    expect(lines.length).toBeGreaterThan(10);
    let response: Record<string, unknown> = {};
    for (const line of lines) {
      const [, asked, params] = /^→ (\S+)(?: (\{.*\}))?$/u.exec(line) ?? [];
      if (asked !== undefined) {
        response = await peer.request(asked, params === undefined ? undefined : JSON.parse(params));
        continue;
      }
      const [, kind, json = '{}'] = /^(←|✗) (\{.*\})$/u.exec(line) ?? [];
      expect(kind, line).toBeDefined();
      expect(response[kind === '✗' ? 'error' : 'result'], line).toEqual(anythingFor(JSON.parse(json)));
    }
    peer.close();
  });

  test('the best model for this machine: measured once for all who ask, and who leaves ends it for nobody else', async () => {
    await hearth.serve({ plain: true, home });
    const [one, other] = [await RpcPeer.connect(home.rpcSocket), await RpcPeer.connect(home.rpcSocket)];
    const ask = (id: string, kind: string) => ({
      jsonrpc: '2.0',
      id,
      method: 'hearth/bestModel',
      params: { kind, progressToken: id },
    });
    const leaving = one.exchange(ask('leaves', 'fim'));
    expect(await one.nextNotified('$/progress')).toMatchObject({ params: { token: 'leaves' } });
    const staying = other.exchange(ask('stays', 'embed'));
    expect(await other.nextNotified('$/progress')).toMatchObject({ params: { token: 'stays' } });
    one.send({ jsonrpc: '2.0', method: '$/cancelRequest', params: { id: 'leaves' } });
    expect(await leaving).toMatchObject({ error: { code: -32800, data: { code: 'cancelled' } } });

    const answer = (await staying)?.['result'];
    expect(answer).toMatchObject({
      kind: 'found',
      model: { kind: 'embed', fits: true, stored: false, chosen: false },
      machine: { contextTokens: 8192 },
    });
    // The same figure, which the command line takes too.
    const { machine } = answer as { machine: { bytesPerSecond: number; measuredAt: string } };
    const { result } = await one.request('hearth/bestModel');
    expect(result).toMatchObject({ machine: { measuredAt: machine.measuredAt } });
    const recommended = await run('models', 'recommend', '--json');
    expect(recommended.err).not.toContain('measuring');
    const { bytesPerSecond, measuredAt } = machine;
    expect(JSON.parse(recommended.out)).toMatchObject({ machine: { bytesPerSecond, measuredAt } });
    one.close();
    other.close();
  });

  test('what was switched to is switched to again by the next daemon, unless it is given a model', async () => {
    await addModel(storeOf(home), 'alpha');
    await addModel(storeOf(home), 'beta');
    await addModel(storeOf(home), 'gamma');
    const begin = async (...args: readonly string[]) => {
      const daemon = await hearth.serve({ plain: true, home, args });
      const peer = await RpcPeer.connect(home.rpcSocket);
      const chosen = async (): Promise<string> => {
        const { result } = await peer.request('hearth/models');
        const { models } = result as { models: { name: string; chosen: boolean; state: string }[] };
        const one = models.find((model) => model.chosen);
        return `${one?.name ?? 'none'} ${one?.state ?? ''}`;
      };
      const end = async (): Promise<void> => {
        peer.close();
        await daemon.stop();
      };
      return { peer, chosen, end };
    };
    const first = await begin();
    await first.peer.request('hearth/switchModel', { name: 'alpha' });
    await first.end();
    const second = await begin();
    await expect.poll(second.chosen, { timeout: 60_000 }).toBe('alpha ready');
    await second.end();
    // Who names a model gets that one, and leaves the choice alone.
    const named = await begin('--model', 'beta');
    expect(await named.chosen()).toBe('beta ready');
    await named.peer.request('hearth/switchModel', { name: 'gamma' });
    expect(await named.chosen()).toBe('gamma ready');
    await named.end();
    const third = await begin();
    await expect.poll(third.chosen, { timeout: 60_000 }).toBe('alpha ready');
    // Back to what came with Hearth: there is nothing to go back to any more.
    await third.peer.request('hearth/switchModel', { name: 'hearth-pilot-v1' });
    await third.end();
    expect(fs.existsSync(path.join(storeOf(home).home, 'chosen.json'))).toBe(false);
  });

  test('models are listed, switched to, and removed when nobody uses them', async () => {
    await addModel(storeOf(home), 'alpha');
    await addModel(storeOf(home), 'beta');
    await hearth.serve({ plain: true, home });
    const peer = await RpcPeer.connect(home.rpcSocket);
    const list = async (): Promise<readonly Record<string, unknown>[]> => {
      const { result } = await peer.request('hearth/models');
      return (result as { models: Record<string, unknown>[] }).models;
    };
    expect(await list()).toMatchObject([
      { name: 'hearth-pilot-v1', chosen: true, state: 'ready', stored: false },
      { name: 'alpha', chosen: false, state: 'absent', stored: true },
      { name: 'beta', chosen: false },
    ]);
    expect((await peer.request('hearth/switchModel', { name: 'alpha', progressToken: 1 }))['result']).toEqual(
      { name: 'alpha' },
    );
    expect((await list())[1]).toMatchObject({ name: 'alpha', chosen: true, state: 'ready' });
    // What shows one model, and warns of it, takes the first.
    const shown = async (): Promise<unknown> => {
      const { result } = await peer.request('hearth/health');
      return (result as { backends: { model?: { id: string } }[] }).backends[0]?.model?.id;
    };
    expect(await shown()).toBe('alpha');
    expect((await askOnce(home.inferenceSocket, say('x', { max_tokens: 2 }))).at(-1)).toMatchObject({
      backend: 'alpha',
    });
    expect((await peer.request('hearth/removeModel', { name: 'alpha' }))['error']).toMatchObject({
      data: { code: 'backend_unavailable' },
    });
    expect((await peer.request('hearth/removeModel', { name: 'beta' }))['result']).toMatchObject({
      freedBytes: tiny.length,
    });
    expect((await peer.request('hearth/switchModel', { name: 'beta' }))['error']).toMatchObject({
      data: { code: 'model_not_found' },
    });
    expect((await peer.request('hearth/switchModel', { name: 'pilot' }))['result']).toBeUndefined();
    expect((await peer.request('hearth/switchModel', { name: 'hearth-pilot-v1' }))['result']).toBeDefined();
    expect(await shown()).toBe('hearth-pilot-v1');
    expect((await askOnce(home.inferenceSocket, say('y', { max_tokens: 2 }))).at(-1)).toMatchObject({
      backend: 'llama',
    });
    peer.close();
  });
});

test('memory that is short is said with the figures, before native code has seen the model', async () => {
  const daemon = hearth.spawnServe({
    plain: true,
    home,
    args: ['--active-permits', '8', '--context-size', '1048576', '--model', await hugeContext(home)],
  });
  expect((await daemon.end()).code).toBe(4);
  expect(daemon.stderr).toMatch(/needs about \d.* GiB .* free.*--context-size \d+/u);
});

/** `…` stands for anything that is there. */
function anythingFor(shown: unknown): unknown {
  if (shown === '…') return expect.anything();
  if (typeof shown !== 'object' || shown === null || Array.isArray(shown)) return shown;
  return Object.fromEntries(Object.entries(shown).map(([key, value]) => [key, anythingFor(value)]));
}

/** A small model whose header promises a context that no machine of today has memory for. */
async function hugeContext(of: Home): Promise<string> {
  const file = path.join(of.root, 'wide.gguf');
  await writeSyntheticModel(file, {
    width: 512,
    layers: 64,
    heads: 8,
    keyValueHeads: 8,
    feedForward: 32,
    vocabulary: 300,
    contextLength: 1_048_576,
  });
  return file;
}
