import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { agentTools } from '@hearth/protocol';
import { afterEach, describe, expect, test } from 'vitest';
import { hearthScope, type Home } from '../support/daemon.js';
import { health, RpcPeer } from '../support/rpc-peer.js';
import { ceilingMs, until } from '../support/wait.js';

/** `hearth mcp` as agents use it: the protocol's own client, over the standard input and output of a process. */

const script = fileURLToPath(new URL('../../server/bin/hearth.cjs', import.meta.url));
const hearth = hearthScope('test');

let clients: Client[] = [];
// Before the scope looks for what is left over: hooks of one kind run in the opposite order.
afterEach(async () => {
  const open = clients;
  clients = [];
  await Promise.all(open.map((client) => client.close()));
});

async function connectTo(home: Home, env: Readonly<Record<string, string>> = {}): Promise<Client> {
  const client = new Client({ name: 'test', version: '1.0.0' });
  clients.push(client);
  await client.connect(
    new StdioClientTransport({
      command: process.execPath,
      args: [script, 'mcp', '--runtime-dir', home.runtimeDir],
      env: home.environment(env),
      stderr: 'ignore',
    }),
  );
  return client;
}

/** A tool's answer as text, with whether it is a failure. */
async function call(client: Client, name: string, input: Record<string, unknown>, signal?: AbortSignal) {
  const options = { timeout: ceilingMs, ...(signal === undefined ? {} : { signal }) };
  const { content, isError } = await client.callTool({ name, arguments: input }, options);
  const text = content.map((part) => (part.type === 'text' ? part.text : '')).join('\n');
  return { text, failed: isError === true };
}

function configuration(home: Home, config: object): Readonly<Record<string, string>> {
  const file = path.join(home.root, 'config.json');
  fs.writeFileSync(file, JSON.stringify(config));
  return { HEARTH_CONFIG: file };
}

describe('an MCP client', () => {
  test('sees the tools with what they take, before there is any daemon', async () => {
    const home = hearth.makeHome();
    const client = await connectTo(home);
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toEqual(agentTools.map(({ name }) => name));
    expect(tools.find(({ name }) => name === 'hearth_classify')?.inputSchema).toMatchObject({
      required: ['text', 'labels'],
      additionalProperties: false,
    });
    expect(fs.existsSync(home.inferenceSocket)).toBe(false);
  });

  test('has jobs done by the daemon that runs', async () => {
    const daemon = await hearth.serve({
      mock: {
        script: [
          { when: 'Summarize the text', pieces: [{ text: 'It is ' }, { text: 'short.' }] },
          { when: 'Which label fits', pieces: [{ text: '"bug"' }] },
          { when: 'Say hello', pieces: [{ text: 'hello' }] },
        ],
      },
    });
    const client = await connectTo(daemon.home);
    expect(await call(client, 'hearth_complete', { prompt: 'Say hello.', max_tokens: 8 })).toEqual({
      text: 'hello',
      failed: false,
    });
    expect((await call(client, 'hearth_summarize', { text: 'A long story.' })).text).toBe('It is short.');
    const labels = { text: 'It fails.', labels: ['bug', 'wish'] };
    expect((await call(client, 'hearth_classify', labels)).text).toBe('bug');
    const vectors: unknown = JSON.parse((await call(client, 'hearth_embed', { texts: ['a', 'b'] })).text);
    expect(vectors).toMatchObject({ embeddings: [expect.any(Array), expect.any(Array)] });
    // An answer that ends at its most tokens says so.
    const cut = await call(client, 'hearth_summarize', { text: 'Summarize the text', max_words: 5 });
    expect(cut.failed).toBe(false);
  });

  test('is told what is wrong with its input, and hears nothing of it back', async () => {
    const daemon = await hearth.serve();
    const client = await connectTo(daemon.home);
    for (const input of [{ text: 'SECRET' }, { text: 'SECRET', labels: ['SECRET'] }, { nothing: 'SECRET' }]) {
      const outcome = await call(client, 'hearth_classify', input).catch((error: unknown) => ({
        text: String(error),
        failed: true,
      }));
      expect(outcome.failed).toBe(true);
      expect(outcome.text).toContain('labels');
      expect(outcome.text).not.toContain('SECRET');
    }
    await expect(call(client, 'no_such_tool', {})).rejects.toThrow('no_such_tool');
  });

  test('cancels a job, and the daemon stops', async () => {
    const tokens = Array.from({ length: 5000 }, () => 'more ');
    const daemon = await hearth.serve({ mock: { tokens, token_delay_ms: 20 } });
    const client = await connectTo(daemon.home);
    const stop = new AbortController();
    const job = call(client, 'hearth_complete', { prompt: 'Go on.', max_tokens: 4000 }, stop.signal);
    const answer = expect(job).rejects.toThrow();
    const peer = await RpcPeer.connect(daemon.home.rpcSocket);
    await expect
      .poll(async () => (await health(peer)).admission.permitsInUse, { timeout: ceilingMs })
      .toBe(1);
    stop.abort();
    await answer;
    await daemon.log.waitFor({ msg: 'request_cancelled' });
    peer.close();
  });

  test('is served by the daemon that comes after the one that went', async () => {
    const first = await hearth.serve({ mock: { tokens: ['first'] } });
    const client = await connectTo(first.home);
    expect((await call(client, 'hearth_complete', { prompt: 'Who?' })).text).toBe('first');
    await first.stop();
    await hearth.serve({ mock: { tokens: ['second'] }, home: first.home });
    expect((await call(client, 'hearth_complete', { prompt: 'Who?' })).text).toBe('second');
  });

  test('has a daemon started for it where none runs, which ends with it', async () => {
    const home = hearth.makeHome();
    const env = configuration(home, { engine: 'mock', mock: { tokens: ['alone'] } });
    const client = await connectTo(home, env);
    expect((await call(client, 'hearth_complete', { prompt: 'Who?' })).text).toBe('alone');
    await client.close();
    // The client does not wait for long. What is still there fails the test when its scope ends.
    await until(
      () => (fs.existsSync(home.inferenceSocket) ? undefined : true),
      () => 'the daemon is still there',
    );
  });

  test('is told what to do where there can be no daemon, and may try again', async () => {
    const home = hearth.makeHome();
    const env = configuration(home, { model: path.join(home.root, 'nowhere.gguf') });
    const client = await connectTo(home, env);
    for (let attempt = 0; attempt < 2; attempt += 1) {
      const { text, failed } = await call(client, 'hearth_complete', { prompt: 'Who?' });
      expect(failed).toBe(true);
      expect(text).toMatch(/could not start.*hearth doctor/s);
    }
  });
});
