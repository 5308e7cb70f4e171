import { PassThrough } from 'node:stream';
import {
  ActivityAppended,
  CancelStreamRequest,
  CountTokensRequest,
  DrainingNotification,
  GenerateRequestMessage,
  GhostTextTold,
  HealthChanged,
  HealthRequest,
  HearthError,
  StreamsChanged,
  SubscribeRequest,
  type ActivityRecord,
  type GhostTextOutcome,
  type Health,
} from '@hearth/protocol';
import {
  CancellationTokenSource,
  createMessageConnection,
  StreamMessageReader,
  StreamMessageWriter,
  type MessageConnection,
} from 'vscode-jsonrpc/node';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { fakeDaemon, type FakeDaemon, type FakeScript } from './fake-daemon.js';
import { serveRpc, type RpcConnection } from './serve-rpc.js';

interface Peer {
  readonly daemon: FakeDaemon;
  readonly server: RpcConnection;
  readonly client: MessageConnection;
  /** What the peer writes, and what it reads. */
  readonly toServer: PassThrough;
  readonly fromServer: PassThrough;
}

const open: RpcConnection[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) {
    server.dispose();
    await server.closed;
  }
});

function connect(script: FakeScript = {}, daemon = fakeDaemon(script)): Peer {
  const toServer = new PassThrough();
  const fromServer = new PassThrough();
  const server = serveRpc(toServer, fromServer, daemon);
  open.push(server);
  const client = createMessageConnection(
    new StreamMessageReader(fromServer),
    new StreamMessageWriter(toServer),
  );
  client.listen();
  return { daemon, server, client, toServer, fromServer };
}

/** A connection in LSP's sense, with one document open. */
async function editor(text: string, script: FakeScript = {}): Promise<Peer> {
  const peer = connect(script);
  await peer.client.sendRequest('initialize', { processId: null, capabilities: {}, rootUri: null });
  await peer.client.sendNotification('initialized', {});
  const textDocument = { uri: 'test:/a.ts', languageId: 'typescript', version: 1, text };
  await peer.client.sendNotification('textDocument/didOpen', { textDocument });
  return peer;
}

const at = (line: number, character: number): object => ({
  textDocument: { uri: 'test:/a.ts' },
  position: { line, character },
  context: { triggerKind: 2 },
});

/** A text source that gives a piece each time it is told, and ends when its signal is aborted. */
function tap(): { generate: NonNullable<FakeScript['generate']>; give: (text: string) => void } {
  let give = (_text: string): void => {};
  return {
    give: (text) => give(text),
    generate: async function* ({ signal }) {
      while (!signal.aborted) {
        const next = new Promise<string>((resolve) => (give = resolve));
        const aborted = new Promise<undefined>((resolve) => {
          signal.addEventListener('abort', () => resolve(undefined), { once: true });
        });
        const text = await Promise.race([next, aborted]);
        if (text === undefined) return;
        yield text;
      }
    },
  };
}

const ask = (progressToken?: string): GenerateRequestMessage.Params => ({
  request: { prompt: 'x' },
  client: 'ask',
  ...(progressToken === undefined ? {} : { progressToken }),
});

describe('the handshake', () => {
  it('offers incremental documents and ghost text', async () => {
    const { client } = connect();
    const result = await client.sendRequest('initialize', {
      processId: null,
      capabilities: {},
      rootUri: null,
    });
    expect(result).toEqual({
      capabilities: {
        positionEncoding: 'utf-16',
        textDocumentSync: { openClose: true, change: 2 },
        inlineCompletionProvider: true,
      },
      serverInfo: { name: 'hearth', version: '0.0.0' },
    });
  });

  it('refuses ghost text before initialize and after shutdown, and serves hearth/* in every phase', async () => {
    const { client } = connect();
    await expect(client.sendRequest('textDocument/inlineCompletion', at(0, 0))).rejects.toMatchObject({
      code: -32002,
    });
    expect(await client.sendRequest(HealthRequest.type)).toMatchObject({ state: 'ready' });
    await client.sendRequest('initialize', { processId: null, capabilities: {}, rootUri: null });
    await client.sendRequest('shutdown');
    await expect(client.sendRequest('textDocument/inlineCompletion', at(0, 0))).rejects.toMatchObject({
      code: -32600,
    });
  });

  it('ends this connection on exit, and no other', async () => {
    const daemon = fakeDaemon();
    const [first, second] = [connect({}, daemon), connect({}, daemon)];
    await first.client.sendNotification('exit');
    expect(await first.server.closed).toBe('exit');
    expect(await second.client.sendRequest(HealthRequest.type)).toMatchObject({ state: 'ready' });
  });
});

describe('hearth/generate', () => {
  it('streams pieces as progress and answers with the whole', async () => {
    const { client, daemon } = connect();
    const pieces: string[] = [];
    client.onProgress(GenerateRequestMessage.progress, 't', ({ content }) => void pieces.push(content));
    const result = await client.sendRequest(GenerateRequestMessage.type, ask('t'));
    expect(pieces).toEqual(['one', ' two']);
    expect(result).toMatchObject({ content: 'one two', stopReason: 'end', backend: 'fake' });
    expect(daemon.generations[0]?.caller).toMatchObject({ name: 'ask' });
  });

  it('refuses a wrong request by the names of its fields, never by their values', async () => {
    const { client } = connect();
    const params = { client: 'x', request: { messages: [{ role: 'SECRET', content: 'SECRET' }] } };
    const error: unknown = await client
      .sendRequest(GenerateRequestMessage.method, params)
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: -32803, data: { code: 'invalid_request', retryable: false } });
    expect((error as Error).message).toContain('role');
    expect((error as Error).message).not.toContain('SECRET');
  });

  it("gives Hearth's own code for a failure, and the time to wait where it is known", async () => {
    const { client } = connect({
      generate: () => {
        throw new HearthError('queue_full', 'Too many are waiting.', { retryAfterMs: 250 });
      },
    });
    await expect(client.sendRequest(GenerateRequestMessage.type, ask())).rejects.toMatchObject({
      code: -32803,
      message: 'Too many are waiting.',
      data: { code: 'queue_full', retryable: true, retryAfterMs: 250 },
    });
  });

  it('says nothing of what an unforeseen failure says', async () => {
    const { client } = connect({
      generate: () => {
        throw new Error('SECRET');
      },
    });
    const error: unknown = await client
      .sendRequest(GenerateRequestMessage.type, ask())
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ data: { code: 'internal' } });
    expect((error as Error).message).not.toContain('SECRET');
  });

  it('is cancelled in flight: the signal is aborted, the iteration ended, the request fails as cancelled', async () => {
    const source = tap();
    const { client, daemon } = connect({ generate: source.generate });
    const cancel = new CancellationTokenSource();
    const first = new Promise<string>((resolve) => {
      client.onProgress(GenerateRequestMessage.progress, 't', ({ content }) => resolve(content));
    });
    const answer = client.sendRequest(GenerateRequestMessage.type, ask('t'), cancel.token);
    await vi.waitFor(() => expect(daemon.generations).toHaveLength(1));
    source.give('a');
    expect(await first).toBe('a');
    cancel.cancel();
    await expect(answer).rejects.toMatchObject({ code: -32800, data: { code: 'cancelled' } });
    expect(daemon.generations[0]?.signal.aborted).toBe(true);
    expect(daemon.generations[0]?.ended).toBe(true);
  });

  it('takes no more from the daemon than a slow peer reads, and goes on when it reads', async () => {
    const text = 'x'.repeat(10_000);
    const pieces = 50;
    const { client, daemon, fromServer } = connect({
      generate: () => Array.from({ length: pieces }, () => text),
    });
    let received = 0;
    client.onProgress(GenerateRequestMessage.progress, 't', () => void (received += 1));
    await client.sendRequest(HealthRequest.type);
    fromServer.pause();
    const answer = client.sendRequest(GenerateRequestMessage.type, ask('t'));
    await vi.waitFor(() => expect(daemon.generations[0]?.taken).toBeGreaterThan(0));
    const stalled = await stable(() => daemon.generations[0]?.taken ?? 0);
    expect(stalled).toBeLessThan(pieces);
    fromServer.resume();
    await answer;
    expect(received).toBe(pieces);
  });

  it('a peer that reads no more can still cancel', async () => {
    const { client, daemon, fromServer } = connect({
      generate: () => Array.from({ length: 50 }, () => 'x'.repeat(10_000)),
    });
    fromServer.pause();
    const cancel = new CancellationTokenSource();
    const answer = client.sendRequest(GenerateRequestMessage.type, ask('t'), cancel.token);
    await vi.waitFor(() => expect(daemon.generations[0]?.taken).toBeGreaterThan(0));
    await stable(() => daemon.generations[0]?.taken ?? 0);
    cancel.cancel();
    await vi.waitFor(() => expect(daemon.generations[0]?.ended).toBe(true));
    fromServer.resume();
    await expect(answer).rejects.toMatchObject({ code: -32800 });
  });

  it('two connections are independent: the close of one aborts its work and leaves the other running', async () => {
    const [one, two] = [tap(), tap()];
    const daemon = fakeDaemon({
      generate: (generation) => (generation.caller.name === 'one' ? one : two).generate(generation),
    });
    const [first, second] = [connect({}, daemon), connect({}, daemon)];
    const lost = first.client.sendRequest(GenerateRequestMessage.type, { ...ask(), client: 'one' });
    lost.catch(() => {});
    const kept = new Promise<string>((resolve) => {
      second.client.onProgress(GenerateRequestMessage.progress, 't', ({ content }) => resolve(content));
    });
    void second.client
      .sendRequest(GenerateRequestMessage.type, { ...ask('t'), client: 'two' })
      .catch(() => {});
    await vi.waitFor(() => expect(daemon.generations).toHaveLength(2));
    first.toServer.end();
    expect(await first.server.closed).toBe('disconnected');
    const of = (name: string) => daemon.generations.find(({ caller }) => caller.name === name);
    await vi.waitFor(() => expect(of('one')?.ended).toBe(true));
    expect(of('two')?.signal.aborted).toBe(false);
    two.give('still here');
    expect(await kept).toBe('still here');
  });
});

describe('ghost text', () => {
  it('asks for the text between both sides of the cursor, from the document as it is now', async () => {
    const { client, daemon } = await editor('const a = ;\n', { generate: () => ['42', ';'] });
    await client.sendNotification('textDocument/didChange', {
      textDocument: { uri: 'test:/a.ts', version: 2 },
      contentChanges: [
        { range: { start: { line: 0, character: 6 }, end: { line: 0, character: 7 } }, text: 'answer' },
      ],
    });
    const items = await client.sendRequest('textDocument/inlineCompletion', at(0, 15));
    expect(daemon.generations[0]?.request).toMatchObject({
      prompt: 'const answer = ',
      suffix: ';\n',
      max_tokens: 48,
    });
    expect(items).toEqual([
      { insertText: '42', range: { start: { line: 0, character: 15 }, end: { line: 0, character: 15 } } },
    ]);
  });

  it('takes the selected entry of the suggestion list as typed', async () => {
    const { client, daemon } = await editor('foo.ba', { generate: () => ['(1)'] });
    const range = { start: { line: 0, character: 4 }, end: { line: 0, character: 6 } };
    const context = { triggerKind: 2, selectedCompletionInfo: { range, text: 'bar' } };
    const items = await client.sendRequest('textDocument/inlineCompletion', { ...at(0, 6), context });
    expect(daemon.generations[0]?.request.prompt).toBe('foo.bar');
    expect(items).toEqual([{ insertText: 'bar(1)', range }]);
  });

  it('is empty, and says why in the debug log, where the daemon refuses', async () => {
    const { client } = await editor('foo(', {
      generate: () => {
        throw new HearthError('queue_full', 'full');
      },
    });
    const logged = new Promise<unknown>((resolve) =>
      client.onNotification('window/logMessage', (params: unknown) => resolve(params)),
    );
    expect(await client.sendRequest('textDocument/inlineCompletion', at(0, 4))).toEqual([]);
    expect(await logged).toEqual({ type: 5, message: 'No ghost text: queue_full.' });
  });

  it('is empty for a document that is not open', async () => {
    const { client, daemon } = await editor('foo(');
    const params = { ...at(0, 4), textDocument: { uri: 'test:/other.ts' } };
    expect(await client.sendRequest('textDocument/inlineCompletion', params)).toEqual([]);
    expect(daemon.generations).toHaveLength(0);
  });

  it('a newer question about another place of a document ends the older one', async () => {
    const source = tap();
    const { client, daemon } = await editor('foo(\nbar(', {
      generate: (generation) => (daemon.generations.length === 1 ? source.generate(generation) : ['new']),
    });
    const older = client.sendRequest('textDocument/inlineCompletion', at(0, 4));
    await vi.waitFor(() => expect(daemon.generations).toHaveLength(1));
    const newer = client.sendRequest('textDocument/inlineCompletion', at(1, 4));
    expect(await older).toEqual([]);
    expect(daemon.generations[0]?.signal.aborted).toBe(true);
    expect(await newer).toMatchObject([{ insertText: 'new' }]);
  });

  it('tells whoever subscribed what became of each question, without a word of the document', async () => {
    const { client } = await editor('  go();\n  ', { generate: () => ['go();'] });
    const told: GhostTextOutcome[] = [];
    client.onNotification(GhostTextTold.type, ({ outcomes }) => void told.push(...outcomes));
    await client.sendRequest('textDocument/inlineCompletion', at(1, 2));
    await client.sendRequest(SubscribeRequest.type, { channels: ['ghost_text'] });
    await client.sendRequest('textDocument/inlineCompletion', at(1, 2));
    await vi.waitFor(() => expect(told).toHaveLength(1));
    expect(told).toEqual([
      { kind: 'none', reason: 'filtered', rule: 'repeats_above', ms: expect.any(Number) as number },
    ]);
  });

  it('refuses a document that is too long by its reason, and holds none of it', async () => {
    const { client, daemon } = await editor(`${'x'.repeat(100)}\n`.repeat(90_000));
    const logged = new Promise<unknown>((resolve) =>
      client.onNotification('window/logMessage', (params: unknown) => resolve(params)),
    );
    expect(await client.sendRequest('textDocument/inlineCompletion', at(0, 4))).toEqual([]);
    expect(await logged).toEqual({ type: 5, message: 'No ghost text: document_too_large.' });
    expect(daemon.generations).toHaveLength(0);
  });
});

describe('ghost text for editors that have none', () => {
  const declared = { textDocument: { completion: {} } };

  it('is offered as a completion list to a client that declares that alone', async () => {
    const { client } = connect();
    const initialize = async (capabilities: object): Promise<unknown> =>
      client.sendRequest('initialize', { processId: null, rootUri: null, capabilities });
    expect(await initialize(declared)).toHaveProperty('capabilities.completionProvider');
    const both = { textDocument: { completion: {}, inlineCompletion: { dynamicRegistration: true } } };
    expect(await initialize(both)).not.toHaveProperty('capabilities.completionProvider');
    expect(await initialize({ textDocument: 'nonsense' })).not.toHaveProperty(
      'capabilities.completionProvider',
    );
  });

  it('is an entry that replaces the word before the cursor, with the whole of it to read', async () => {
    const { client } = await editor('const sum = fir', { generate: () => ['st + second;\nreturn sum;'] });
    const list = await client.sendRequest('textDocument/completion', at(0, 15));
    const range = { start: { line: 0, character: 12 }, end: { line: 0, character: 15 } };
    expect(list).toMatchObject({
      isIncomplete: true,
      items: [
        {
          label: 'first + second; …',
          filterText: 'first + second;',
          textEdit: { range, newText: 'first + second;\nreturn sum;' },
          documentation: { value: '```\nconst sum = first + second;\nreturn sum;\n```' },
        },
      ],
    });
  });
});

describe('subscriptions', () => {
  it('begin with the present state and then send changes, and nothing where nothing changed', async () => {
    const { client, daemon } = connect();
    const seen: Health[] = [];
    client.onNotification(HealthChanged.type, (health) => void seen.push(health));
    await client.sendRequest(SubscribeRequest.type, { channels: ['health'] });
    await vi.waitFor(() => expect(seen).toHaveLength(1));
    daemon.current.health = { ...daemon.current.health, uptimeMs: 5000 };
    daemon.events.emit('health');
    daemon.current.health = { ...daemon.current.health, state: 'failed' };
    daemon.events.emit('health');
    await vi.waitFor(() => expect(seen).toHaveLength(2));
    daemon.current.health = { ...daemon.current.health, uptimeMs: 9000 };
    daemon.events.emit('health');
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect(seen.map(({ state }) => state)).toEqual(['ready', 'failed']);
  });

  it('joins activity into batches, in order, after the last records', async () => {
    const { client, daemon } = connect();
    const record = (pid: number): ActivityRecord => ({
      t: '2026-01-01T00:00:00Z',
      level: 'info',
      component: 'daemon',
      msg: 'daemon_started',
      pid,
      version: '1',
    });
    daemon.events.emit('activity', record(0));
    const batches: number[][] = [];
    client.onNotification(ActivityAppended.type, ({ records }) => {
      batches.push(records.map((entry) => (entry.msg === 'daemon_started' ? entry.pid : -1)));
    });
    await client.sendRequest(SubscribeRequest.type, { channels: ['activity'] });
    for (let pid = 1; pid <= 100; pid += 1) daemon.events.emit('activity', record(pid));
    await vi.waitFor(() => expect(batches.flat()).toHaveLength(101));
    expect(batches.flat()).toEqual(Array.from({ length: 101 }, (_, pid) => pid));
    expect(batches.length).toBeLessThan(5);
  });

  it('leave no listener behind when the connection closes', async () => {
    const { client, daemon, server } = connect();
    await client.sendRequest(SubscribeRequest.type, { channels: ['health', 'streams', 'activity'] });
    server.dispose();
    expect(await server.closed).toBe('disposed');
    expect(daemon.events.listenerCount('health') + daemon.events.listenerCount('streams')).toBe(0);
    expect(daemon.events.listenerCount('draining')).toBe(0);
  });

  it('send the streams as they are', async () => {
    const { client, daemon } = connect();
    daemon.current.streams = [
      { streamId: 's', client: 'ask', stage: 'queued', startedAt: '2026-01-01T00:00:00Z', tokens: 0 },
    ];
    const seen = new Promise<unknown>((resolve) => client.onNotification(StreamsChanged.type, resolve));
    await client.sendRequest(SubscribeRequest.type, { channels: ['streams'] });
    expect(await seen).toMatchObject({ streams: [{ streamId: 's' }] });
  });
});

describe('the rest', () => {
  it('counts tokens, cancels streams, and says that the daemon drains', async () => {
    const { client, daemon } = connect();
    expect(await client.sendRequest(CountTokensRequest.type, { texts: ['ab', 'c'] })).toEqual({
      counts: [2, 1],
    });
    expect(await client.sendRequest(CancelStreamRequest.type, { streamId: 'known' })).toEqual({
      found: true,
    });
    expect(await client.sendRequest(CancelStreamRequest.type, { streamId: 'other' })).toEqual({
      found: false,
    });
    const drained = new Promise<void>((resolve) => client.onNotification(DrainingNotification.type, resolve));
    daemon.events.emit('draining');
    await drained;
  });

  it('answers a body that is not JSON-RPC with a parse error and serves the next', async () => {
    const { client, toServer, fromServer } = connect();
    const raw = new Promise<string>((resolve) =>
      fromServer.once('data', (chunk: Buffer) => resolve(chunk.toString())),
    );
    for (const body of ['{', '[]', '5', '']) toServer.write(`Content-Length: ${body.length}\r\n\r\n${body}`);
    expect(await raw).toContain('Content-Length');
    toServer.write('Content-Length: 52\r\n\r\n{"jsonrpc":"2.0","method":"$/cancelRequest","id":nul');
    expect(await client.sendRequest(HealthRequest.type)).toMatchObject({ state: 'ready' });
  });

  it.each([
    ['a body over 16 MiB', `Content-Length: 16777217\r\n\r\n{"jsonrpc":"2.0","id":1,${' '.repeat(5000)}`],
    ['a body over 1 GiB', 'Content-Length: 1073741825\r\n\r\n'],
    ['a header without end', 'x'.repeat(9000)],
    ['a header without a length', 'Content-Type: text\r\n\r\n'],
    ['a length that is no number', 'Content-Length: 0x10\r\n\r\n'],
  ])('refuses %s before holding it, and ends the connection', async (_name, bytes) => {
    const { toServer, server } = connect();
    toServer.write(bytes);
    expect(await server.closed).toBe('refused');
  });

  it('reads frames however they are split', async () => {
    const { toServer, fromServer } = connect();
    const frame = (id: string): Buffer => {
      const body = JSON.stringify({ jsonrpc: '2.0', id, method: HealthRequest.method });
      return Buffer.from(`Content-Length: ${Buffer.byteLength(body)}\r\nContent-Type: x\r\n\r\n${body}`);
    };
    let answered = '';
    fromServer.on('data', (chunk: Buffer) => (answered += chunk.toString()));
    for (const byte of Buffer.concat([frame('é1'), frame('é2')])) toServer.write(Buffer.of(byte));
    await vi.waitFor(() => expect(answered).toMatch(/"id":"é1".*"id":"é2"/s));
  });
});

/** Waits until `read` has given the same value for a while. */
async function stable(read: () => number): Promise<number> {
  for (let last = read(), same = 0; ;) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    const value = read();
    same = value === last ? same + 1 : 0;
    last = value;
    if (same === 10) return value;
  }
}
