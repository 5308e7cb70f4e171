import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { everyFile } from '../support/activity-log.js';
import { configured, hearthScope } from '../support/daemon.js';
import { EventCollector } from '../support/event-collector.js';
import { ask, gatewayOf } from '../support/gateway.js';
import { askOnce, type Frame, RawClient, say } from '../support/raw-client.js';
import { RpcPeer } from '../support/rpc-peer.js';

/** What must be found nowhere. Its parts say where it went in, and so where a leak began. */
const secret = 'CANARY';

/** Subscribes to a channel and keeps every line that comes, until the connection ends. */
async function listen(socketPath: string, channel: string): Promise<{ lines: Promise<readonly Frame[]> }> {
  const client = await RawClient.connect(socketPath);
  await client.sendJson({ type: 'subscribe', channel, max_in_flight: 4096 });
  expect(await client.frame()).toMatchObject({ type: 'subscribed' });
  return { lines: client.rest() };
}

describe('row 91: content and secrets', () => {
  const hearth = hearthScope('test');

  test('row 91: what clients say on any surface is found in no file, log, event, metric, trace, status or error', async () => {
    const [eventLog, traces] = [await EventCollector.listen(), await EventCollector.listen()];
    try {
      const home = hearth.makeHome();
      const stateDir = path.join(home.root, 'state');
      fs.mkdirSync(stateDir);
      const args = configured(home, {
        http: '127.0.0.1:0',
        tcp: '127.0.0.1:0',
        tcp_key_env: 'A_KEY',
        metrics_port: 0,
        state_dir: stateDir,
        durable_channels: ['acme/journal'],
        events: {
          activity_log: true,
          http_url: eventLog.url,
          http_token_env: 'EVENT_TOKEN',
          otlp_url: traces.url,
          otlp_token_env: 'TRACE_TOKEN',
        },
      });
      const tokens = {
        A_KEY: `${secret}-tcp-key-0123456789`,
        HEARTH_HTTP_TOKEN: `${secret}-http-token-0123456789abcdef`,
        EVENT_TOKEN: `${secret}-event-token`,
        TRACE_TOKEN: `${secret}-trace-token`,
      };
      const mock = { name: 'm', tokens: [`${secret}-generated `, `${secret}-more`] };
      const daemon = await hearth.serve({ home, args, mock, env: tokens });
      const socket = home.inferenceSocket;
      const admin = await daemon.admin();
      const channels = ['status', 'activity', 'metrics', 'models', 'engine'];
      const heard = await Promise.all(channels.map(async (channel) => listen(socket, channel)));
      /** Texts in which nothing of it may be. */
      const told: unknown[] = [];
      const keepErrors = (frames: readonly Frame[]): void => {
        told.push(...frames.filter((frame) => frame['type'] === 'error').map((frame) => frame['message']));
      };

      // The inference socket: generations and everything else that it answers, right and wrong.
      for (const value of [
        say('plain', { messages: [{ role: 'user', content: `${secret}-prompt` }] }),
        { id: 'raw', prompt: `${secret}-prompt`, suffix: `${secret}-suffix`, stop: [`${secret}-stop`] },
        say('model', { model: `${secret}-model` }),
        say('grammar', { grammar: `root ::= ${secret}-grammar ${'|'.repeat(5000)}` }),
        say('tool', { tools: [{ name: `${secret}-tool`, description: `${secret}-description` }] }),
        say('events', { events: true, model: `${secret}-model` }),
        { id: 'role', messages: [{ role: `${secret}-role`, content: `${secret}-prompt` }] },
        { id: 'embed', type: 'embed', input: [`${secret}-input`] },
        { id: 'embed2', type: 'embed', model: `${secret}-model`, input: `${secret}-input` },
        { id: 'rerank', type: 'rerank', query: `${secret}-query`, documents: [`${secret}-document`] },
        { id: 'tokenize', type: 'tokenize', content: 5, [`${secret}-field`]: `${secret}-content` },
        [`${secret}-array`],
      ]) {
        const client = await RawClient.connect(socket);
        await client.sendJson(value);
        client.halfClose();
        keepErrors(await client.rest());
        client.destroy();
      }

      // Channels: what passes between clients is theirs, and what is wrong is not quoted.
      const [one, two] = [await daemon.connect(), await daemon.connect()];
      const next = async (client: RawClient, value: unknown): Promise<Frame> => {
        await client.sendJson(value);
        const frame = await client.frame();
        keepErrors([frame]);
        return frame;
      };
      await next(one, { type: 'subscribe', channel: 'acme/talk', answers: true });
      await next(two, {
        type: 'publish',
        channel: 'acme/talk',
        body: `${secret}-body`,
        idempotency_key: secret,
      });
      await one.frame();
      await next(two, { type: 'publish', channel: `${secret}-channel`, body: 1 });
      await next(two, { type: 'subscribe', channel: `${secret}/channel` });
      await next(two, {
        type: 'publish',
        channel: 'acme/talk',
        body: `${secret}-other`,
        idempotency_key: secret,
      });
      await next(two, { type: 'converse', conversation: `${secret}-name`, channel: 'acme/talk' });
      await one.frame();
      await next(two, { type: 'say', conversation: `${secret}-name`, body: `${secret}-said` });
      await one.frame();
      await next(two, { type: 'say', conversation: `${secret}-nobody`, body: `${secret}-said` });
      await next(one, { type: 'handle', kinds: ['file_range'] });
      await two.sendJson({
        type: 'ask',
        kind: 'file_range',
        question: { document: `${secret}/path`, from_line: 1, to_line: 2 },
      });
      const push = await one.frame();
      await next(one, { type: 'reply', correlation: push['correlation'], body: { wrong: `${secret}-text` } });
      await one.sendJson({
        type: 'reply',
        correlation: push['correlation'],
        body: { text: `${secret}-text` },
      });
      expect(await two.frame()).toMatchObject({ type: 'answer' });
      await next(two, { type: 'ask', kind: `${secret}-kind`, question: {} });
      for (const client of [one, two]) client.destroy();

      // The gateway, with and without its token.
      const gateway = { ...(await gatewayOf(daemon)), token: tokens.HEARTH_HTTP_TOKEN };
      const chat = { model: 'm', messages: [{ role: 'user', content: `${secret}-prompt` }] };
      await (await ask(gateway, '/v1/chat/completions', chat)).text();
      for (const body of [
        { ...chat, model: `${secret}-model` },
        { ...chat, messages: [{ role: `${secret}-role`, content: `${secret}-x` }] },
        // The gateway names the field that it does not know, to who sent it, and never its value.
        { ...chat, unknown_field: `${secret}-value`, temperature: `${secret}-hot` },
      ]) {
        const answer = await ask(gateway, '/v1/chat/completions', body);
        const text = await answer.text();
        if (!answer.ok) told.push(text);
      }
      // Its other dialects, right and wrong.
      const user = [{ role: 'user', content: `${secret}-prompt` }];
      for (const [target, body] of [
        ['/v1/completions', { model: 'm', prompt: `${secret}-prompt`, n: `${secret}-n` }],
        ['/v1/responses', { model: `${secret}-model`, input: `${secret}-input` }],
        ['/v1/embeddings', { model: 'm', input: `${secret}-input` }],
        ['/v1/messages', { model: 'm', max_tokens: 4, messages: user, system: `${secret}-system` }],
        ['/v1/messages', { model: 'm', max_tokens: `${secret}-many`, messages: user }],
        ['/api/chat', { model: 'm', messages: user, stream: false }],
        ['/api/generate', { model: `${secret}-model`, prompt: `${secret}-prompt` }],
        ['/infill', { input_prefix: `${secret}-prefix`, input_suffix: `${secret}-suffix`, n_predict: 2 }],
        ['/tokenize', { content: `${secret}-content`, with_pieces: `${secret}-pieces` }],
      ] as const) {
        const answer = await ask(gateway, target, body);
        const text = await answer.text();
        if (!answer.ok) told.push(text);
      }
      const stranger = await ask({ ...gateway, token: `${secret}-wrong` }, `/v1/models?${secret}`);
      expect(stranger.status).toBe(401);
      told.push(await stranger.text());

      // JSON-RPC: a document and a generation.
      const peer = await RpcPeer.connect(home.rpcSocket);
      peer.send({
        jsonrpc: '2.0',
        method: 'textDocument/didOpen',
        params: {
          textDocument: {
            uri: `file:///${secret}/file.ts`,
            languageId: 'typescript',
            version: 1,
            text: `const ${secret} = 1;`,
          },
        },
      });
      const request = { messages: [{ role: 'user', content: `${secret}-prompt` }] };
      expect(await peer.request('hearth/generate', { request, client: 'test' })).toHaveProperty('result');
      const refused = await peer.request('hearth/generate', {
        request: { ...request, temperature: `${secret}-hot` },
        client: 'test',
      });
      told.push(refused['error'], await peer.request('hearth/health'));
      const version = { uri: `file:///${secret}/file.ts`, version: 1 };
      for (const [method, params] of [
        ['initialize', { processId: null, capabilities: {}, rootUri: `file:///${secret}` }],
        [
          'textDocument/inlineCompletion',
          {
            textDocument: version,
            position: { line: 0, character: 3 },
            context: { triggerKind: 1 },
          },
        ],
        ['hearth/channel', { type: 'publish', channel: `${secret}-channel`, body: `${secret}-body` }],
        ['hearth/channel', { type: 'handle', kinds: ['approve_tool_call'] }],
        ['hearth/pullModel', { source: `https://${secret}.invalid/model.gguf` }],
        ['hearth/switchModel', { name: `${secret}-model` }],
      ] as const) {
        const { error } = await peer.request(method, params);
        if (error !== undefined) told.push(error);
      }

      // A question of a program to the person, on the command line, and what it would do.
      const approving = hearth.run(
        ['approve', `${secret}-tool`, '--summary', `${secret}-summary`, '--runtime-dir', home.runtimeDir],
        { home },
      );
      for (;;) {
        const { params } = await peer.nextNotified('hearth/channelFrame');
        const frame = params as Frame;
        if (frame['type'] === 'error') told.push(frame['message']);
        if (frame['type'] !== 'push') continue;
        const { correlation } = frame;
        await peer.request('hearth/channel', { type: 'reply', correlation, body: { approved: true } });
        break;
      }
      expect(await approving.end()).toMatchObject({ code: 0 });
      told.push(approving.stdout, approving.stderr);
      peer.close();

      // The command line.
      const cli = hearth.run(['generate', `${secret}-prompt`, '--runtime-dir', home.runtimeDir], { home });
      expect(await cli.end()).toMatchObject({ code: 0 });
      told.push(cli.stderr);
      const status = hearth.run(['status', '--runtime-dir', home.runtimeDir], { home });
      await status.end();
      told.push(status.stdout, status.stderr);

      // TCP with a wrong key.
      const port = Number(/tcp \S+:(\d+)/u.exec(daemon.stdout)?.[1]);
      const wrong = await RawClient.connect({ port });
      await wrong.sendJson({ type: 'auth', key: `${secret}-wrong` });
      expect(await wrong.rest()).toEqual([]);

      // What is told to whoever looks after it.
      const base = /health and metrics (\S+)/u.exec(daemon.stdout)?.[1] ?? '';
      for (const target of ['/metrics', '/health', '/ready', `/${secret}`])
        told.push(await (await fetch(`${base}${target}`)).text());
      expect(told.join('\n')).toContain('hearth_requests_total');

      expect((await askOnce(socket, say('last'))).at(-1)).toMatchObject({ type: 'done' });
      daemon.signal('SIGTERM');
      const frames = await admin.untilEnd();
      const events = (await Promise.all(heard.map(async ({ lines }) => lines))).flat();
      await daemon.end();

      // Each place was looked at, and had something to tell.
      expect(told.length).toBeGreaterThan(20);
      expect(events.filter((event) => event['type'] === 'event').length).toBeGreaterThan(20);
      expect(eventLog.collected.length).toBeGreaterThan(3);
      expect(traces.collected.length).toBeGreaterThan(0);
      expect(JSON.stringify(told)).not.toContain(secret);
      expect(JSON.stringify(frames)).not.toContain(secret);
      expect(JSON.stringify(events)).not.toContain(secret);
      for (const { body } of [...eventLog.collected, ...traces.collected])
        expect(JSON.stringify(body)).not.toContain(secret);
      expect(daemon.stdout + daemon.stderr).not.toContain(secret);
      const files = everyFile(home.root);
      expect(files.map(({ file }) => path.basename(file))).toContain('hearth.ndjson');
      expect(files.some(({ file }) => file.startsWith(stateDir))).toBe(true);
      for (const { file, bytes } of files) expect(bytes.includes(secret), file).toBe(false);
    } finally {
      await Promise.all([eventLog.close(), traces.close()]);
    }
  });
});
