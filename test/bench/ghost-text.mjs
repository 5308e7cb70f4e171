import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { connect, inPlace, within } from './processes.mjs';

const require = createRequire(import.meta.url);
/** @type {typeof import('vscode-jsonrpc/node')} */
const rpc = require('vscode-jsonrpc/node');

/**
 * Replays typing against a real daemon over its socket, once with the ghost text of Hearth and once with a naive
 * client, in turns, document by document:
 *
 *   npm run bench -- ghost-text [--full] [--json FILE] [--token-ms N]
 *
 * The naive client does what many plug-ins do: it waits 75 ms after each key, asks for a fill-in-the-middle of the text
 * around the cursor, and cancels that at the next key. The engine is the mock that knows what most of the text will be,
 * at a fixed time a token; the embedded model then gives the time that is added to a real engine's own.
 *
 * The person who types takes a suggestion, or the first lines of it, when it says what was going to be typed, for 12
 * characters or more, and has been there for 200 ms. What is typed are real edits, the keystrokes and the mistakes in
 * them are those of a model of typing: see traces/make-typing-trace.mjs.
 */

/** Characters that a suggestion must save, and how long it must have been there to be noticed, in milliseconds. */
const worthTaking = 12;
const noticedMs = 200;
const naivePauseMs = 75;
const naiveTokens = 128;

/** @typedef {{ name: string, change: string, before: string, after: string, known: string, keys: [string, number][] }} Trace */
/** @typedef {{ texts: string[], source: string, ms: number, at: number }} Answer */
/** @typedef {import('vscode-jsonrpc').MessageConnection} Connection */

/** What one client did in one replay. */
class Tally {
  /** @type {number[]} from the key to the suggestion, each trigger that came to one */
  times = [];
  /** @type {number[]} of those that came without the engine: from the question to its answer */
  cached = [];
  keys = 0;
  taken = 0;
  /** Characters that were accepted in place of typing them. */
  saved = 0;
  requests = 0;
  tokens = 0;
  /** Requests, and their tokens, that ended without anybody having use for them. */
  cancelled = 0;
  /** Suggestions by how they were reached. @type {Map<string, number>} */
  sources = new Map();
}

/** Counts what the engine does, from the daemon's activity log. */
class EngineCount {
  /** @param {Connection} connection */
  constructor(connection) {
    this.requests = 0;
    this.tokens = 0;
    this.cancelled = 0;
    /** @type {{ t: string, total_ms: number }[]} */
    this.done = [];
    let replayed = false;
    connection.onNotification('hearth/activityAppended', (/** @type {any} */ { records }) => {
      for (const record of records) {
        if (!replayed) continue;
        if (record.msg === 'request_done') this.done.push(record);
        if (record.msg !== 'request_done' && record.msg !== 'request_cancelled') continue;
        this.requests += 1;
        this.tokens += record.completion_tokens;
        if (record.msg === 'request_cancelled') this.cancelled += 1;
      }
      replayed = true;
    });
    this.connection = connection;
  }

  /** Waits until nothing runs and all has been told, and gives what came since the last time. */
  async take() {
    for (;;) {
      const health = /** @type {any} */ (await this.connection.sendRequest('hearth/health'));
      await delay(150);
      const { permitsInUse, queued } = health.admission;
      if (permitsInUse === 0 && queued === 0) break;
    }
    await delay(300);
    const { requests, tokens, cancelled } = this;
    this.requests = this.tokens = this.cancelled = 0;
    return { requests, tokens, cancelled };
  }
}

/** @param {string} socketPath */
async function open(socketPath) {
  const socket = await connect(socketPath);
  const connection = rpc.createMessageConnection(
    new rpc.StreamMessageReader(socket),
    new rpc.StreamMessageWriter(socket),
  );
  connection.listen();
  return { connection, close: () => socket.destroy() };
}

/** A document that is typed in, mirrored to the daemon. */
class Document {
  static #count = 0;

  /** @param {Connection} connection @param {Trace} trace */
  constructor(connection, { name, before, after: afterCursor }) {
    this.connection = connection;
    this.before = before;
    this.after = afterCursor;
    this.version = 1;
    this.position = after({ line: 0, character: 0 }, before);
    Document.#count += 1;
    this.uri = `file:///bench/${Document.#count}/${name}`;
    const languageId = name.endsWith('.py') ? 'python' : 'typescript';
    this.sent = connection.sendNotification('textDocument/didOpen', {
      textDocument: { uri: this.uri, languageId, version: 1, text: before + afterCursor },
    });
  }

  /** @param {string} text `\b` takes one character back */
  type(text) {
    const end = this.position;
    const back = text === '\b';
    const start = back ? { line: end.line, character: end.character - 1 } : end;
    this.before = back ? this.before.slice(0, -1) : this.before + text;
    this.position = back ? start : after(end, text);
    this.version += 1;
    this.sent = this.connection.sendNotification('textDocument/didChange', {
      textDocument: { uri: this.uri, version: this.version },
      contentChanges: [{ range: { start, end }, text: back ? '' : text }],
    });
  }
}

/** Where one is after writing `text`. @param {{ line: number, character: number }} position @param {string} text */
function after({ line, character }, text) {
  const lines = text.split('\n');
  const last = lines.at(-1)?.length ?? 0;
  return { line: line + lines.length - 1, character: lines.length === 1 ? character + last : last };
}

/**
 * @callback Ask
 * @param {Document} document
 * @param {import('vscode-jsonrpc').CancellationToken} token
 * @returns {Promise<string[]>} what to show; empty: nothing
 */

/** @type {Ask} Hearth's ghost text, as any LSP client has it. */
async function hearth(document, token) {
  const params = {
    textDocument: { uri: document.uri },
    position: document.position,
    context: { triggerKind: 2 },
  };
  const items = await document.connection
    .sendRequest('textDocument/inlineCompletion', params, token)
    .catch(() => []);
  return /** @type {{ insertText: string }[]} */ (items).map(({ insertText }) => insertText);
}

/** @type {Ask} A naive client. */
async function naive(document, token) {
  await delay(naivePauseMs);
  if (token.isCancellationRequested) return [];
  const request = {
    prompt: document.before,
    suffix: document.after,
    max_tokens: naiveTokens,
    temperature: 0,
    stop: ['\n\n'],
    class: 'interactive',
  };
  const result = await document.connection
    .sendRequest('hearth/generate', { request, client: 'naive' }, token)
    .catch(() => undefined);
  const content = String(/** @type {any} */ (result)?.content ?? '').trimEnd();
  return content === '' ? [] : [content];
}

/**
 * Types one document.
 *
 * @param {Connection} connection
 * @param {Trace} trace
 * @param {Ask} ask
 * @param {Tally} tally
 */
async function replay(connection, trace, ask, tally) {
  const document = new Document(connection, trace);
  let pending = new rpc.CancellationTokenSource();
  /** @type {{ before: string, text: string, at: number } | undefined} */
  let shown;
  const trigger = () => {
    pending.cancel();
    pending = new rpc.CancellationTokenSource();
    const { token } = pending;
    const { before } = document;
    const since = performance.now();
    const asked = ask(document, token).then(([text]) => {
      if (text === undefined || token.isCancellationRequested) return;
      const ms = performance.now() - since;
      tally.times.push(ms);
      shown = { before, text, at: performance.now() };
    });
    return asked;
  };
  /** @type {Promise<void>[]} */
  const all = [];
  let next = performance.now();
  const states = textsOf(trace);
  const meant = states.at(-1) ?? '';
  for (let index = 0; index < trace.keys.length;) {
    const [key, gapMs] = trace.keys[index] ?? ['', 0];
    next = Math.max(next + gapMs, performance.now());
    await delay(next - performance.now());
    const typed = states[index] ?? '';
    const rest = meant.startsWith(typed) ? meant.slice(typed.length) : '';
    const left = shown === undefined ? '' : takeable(remaining(shown, document.before), rest);
    if (shown !== undefined && left.length >= worthTaking && performance.now() - shown.at >= noticedMs) {
      document.type(left);
      tally.taken += 1;
      tally.saved += left.length;
      // The mistakes that would have been made on the way are not made.
      index = states.indexOf(typed + left, index);
      shown = undefined;
    } else {
      document.type(key);
      tally.keys += 1;
      index += 1;
    }
    all.push(trigger());
  }
  await delay(400);
  pending.cancel();
  await within(Promise.all(all), 'the last answers');
}

/** What of a suggestion is left after what was typed since; empty where it does not hold. */
function remaining(/** @type {{ before: string, text: string }} */ shown, /** @type {string} */ now) {
  if (!now.startsWith(shown.before)) return '';
  const typed = now.slice(shown.before.length);
  return shown.text.startsWith(typed) ? shown.text.slice(typed.length) : '';
}

/** As many whole lines of a suggestion as say what is meant. */
function takeable(/** @type {string} */ left, /** @type {string} */ rest) {
  let text = left;
  while (text !== '' && !rest.startsWith(text)) text = text.slice(0, Math.max(0, text.lastIndexOf('\n')));
  return text;
}

/** What has been written before each key of a trace, and after its last. @param {Trace} trace */
function textsOf({ keys }) {
  const texts = [''];
  let text = '';
  for (const [key] of keys) {
    text = key === '\b' ? text.slice(0, -1) : text + key;
    texts.push(text);
  }
  return texts;
}

/** @param {string[]} args */
export async function ghostText(args) {
  const value = (/** @type {string} */ flag) =>
    args.includes(flag) ? args[args.indexOf(flag) + 1] : undefined;
  /** @type {Trace[]} */
  const traces = JSON.parse(readFileSync(new URL('traces/typing.json', import.meta.url), 'utf8'));
  // `--only budgets` leaves the typing out.
  const chosen = value('--only') === 'budgets' ? [] : args.includes('--full') ? traces : traces.slice(0, 2);
  const tokenMs = Number(value('--token-ms') ?? 15);
  /** @type {Record<string, { times: number[], requests: number }>} */
  const along = {};
  const clients = { naive: new Tally(), hearth: new Tally() };
  const print = (/** @type {string} */ line) => process.stdout.write(`${line}\n`);

  await inPlace(async (place) => {
    const known = traces.map((trace) => trace.known).join('\n\n\n\n');
    await place.serve({ document: known, token_delay_ms: tokenMs }, ['--active-permits', '4']);
    const watcher = await open(place.rpc);
    const count = new EngineCount(watcher.connection);
    await watcher.connection.sendRequest('hearth/subscribe', { channels: ['activity'] });
    await count.take();
    for (const trace of chosen) {
      for (const name of /** @type {const} */ (['naive', 'hearth'])) {
        const tally = clients[name];
        const peer = await open(place.rpc);
        const { connection } = peer;
        /** Answers by where they came from, told after each. @type {{ source?: string, kind: string, ms: number }[]} */
        const told = [];
        connection.onNotification('hearth/ghostText', (/** @type {any} */ { outcomes }) =>
          told.push(...outcomes),
        );
        await connection.sendRequest('initialize', { processId: null, rootUri: null, capabilities: {} });
        await connection.sendRequest('hearth/subscribe', { channels: ['ghost_text'] });
        await replay(connection, trace, name === 'hearth' ? hearth : naive, tally);
        await delay(100);
        for (const { kind, source, ms } of told) {
          if (kind !== 'shown' || source === undefined) continue;
          tally.sources.set(source, (tally.sources.get(source) ?? 0) + 1);
          if (source !== 'engine' && source !== 'stream') tally.cached.push(ms);
        }
        peer.close();
        const { requests, tokens, cancelled } = await count.take();
        tally.requests += requests;
        tally.tokens += tokens;
        tally.cancelled += cancelled;
      }
    }
    for (const [name, length] of /** @type {const} */ ([
      ['short', 0],
      ['long', 1_000_000],
    ])) {
      const measured = await alongShown(place.rpc, traces[2], length, count);
      along[name] = measured;
    }
    watcher.close();
  });

  const lines = chosen.length === 0 ? [] : compared(clients);
  if (chosen.length > 0) {
    const keys = chosen.flatMap((trace) => trace.keys);
    print(
      `${chosen.length} real edits of this repository's history, typed by a model of a typist with a fixed seed (nobody was`,
    );
    print(
      `recorded): ${keys.length} keys, ${keys.filter(([key]) => key === '\b').length} of them backspace. ${tokenMs} ms a token; naive and hearth in turns.\n`,
    );
    print(row('', 'naive', 'hearth', 'ratio'));
  }
  for (const [name, one, other] of lines)
    print(row(name, show(one), show(other), one === 0 ? '' : show(other / one)));
  if (chosen.length > 0) {
    print('\nhow hearth came to its suggestions');
    for (const [source, words] of Object.entries(sourceWords))
      print(row(words, '', show(clients.hearth.sources.get(source) ?? 0)));
  }
  const overhead = await addedToEngine();
  print('\nbudgets');
  const budgets = [
    ...(chosen.length === 0 ? [] : [budget('answered without the engine', clients.hearth.cached, 5)]),
    budget('  over the socket, along what is shown', along['short']?.times ?? [], 5),
    budget('  the same in a document of 1 MB', along['long']?.times ?? [], 5),
    asked(along),
    budget('added to the time of a warm engine', overhead, 15),
  ];
  for (const line of budgets) print(line);
  const file = value('--json');
  if (file !== undefined)
    writeFileSync(file, `${JSON.stringify({ tokenMs, lines, budgets, overhead }, undefined, 2)}\n`);
}

/** @type {Record<string, string>} */
const sourceWords = {
  shown: '  along what was shown',
  cache: '  remembered',
  ahead: '  prepared before it was wanted',
  stream: '  a stream that ran already',
  engine: '  a new question to the engine',
};

/**
 * Types along a suggestion that stands, quicker than what follows it is prepared, and asks at each key.
 *
 * @param {string} socketPath
 * @param {Trace | undefined} trace
 * @param {number} length of the document, before the place where it is typed, in characters
 * @param {EngineCount} count
 */
async function alongShown(socketPath, trace, length, count) {
  if (trace === undefined) throw new Error('no trace');
  const { connection, close } = await open(socketPath);
  await connection.sendRequest('initialize', { processId: null, rootUri: null, capabilities: {} });
  const line = '// a line of a long document, such as programs write them\n';
  const before = line.repeat(length / line.length) + trace.before;
  const document = new Document(connection, { ...trace, before });
  document.type(textsOf(trace).at(-1)?.split('\n').slice(0, 3).join('\n').concat('\n') ?? '');
  const [text = ''] = await hearth(document, rpc.CancellationToken.None);
  // What follows the suggestion is being prepared; after that nothing is left to do.
  await count.take();
  /** @type {number[]} */
  const times = [];
  for (const key of text.slice(0, -1)) {
    document.type(key);
    const since = performance.now();
    const [left] = await hearth(document, rpc.CancellationToken.None);
    if (left === undefined) throw new Error('the suggestion did not hold');
    times.push(performance.now() - since);
    await delay(20);
  }
  const { requests } = await count.take();
  close();
  return { times, requests };
}

/** @param {Record<string, { times: number[], requests: number }>} along */
function asked(along) {
  const all = Object.values(along);
  const requests = all.reduce((sum, one) => sum + one.requests, 0);
  const keys = all.reduce((sum, one) => sum + one.times.length, 0);
  return `${'asked while what is shown holds'.padEnd(38)} ${requests} requests, of 0: ${requests === 0 ? 'kept' : 'MISSED'} (n ${keys})`;
}

/**
 * The figures of both clients side by side.
 *
 * @param {{ naive: Tally, hearth: Tally }} clients
 * @returns {[string, number, number][]}
 */
function compared({ naive: before, hearth: after }) {
  return [
    ['keys typed', before.keys, after.keys],
    ['suggestions taken', before.taken, after.taken],
    ['characters not typed', before.saved, after.saved],
    ['requests to the engine', before.requests, after.requests],
    ['  of them cancelled', before.cancelled, after.cancelled],
    ['tokens decoded', before.tokens, after.tokens],
    ['suggestions shown', before.times.length, after.times.length],
    ['time to suggestion p50, ms', percentile(before.times, 0.5), percentile(after.times, 0.5)],
    ['time to suggestion p95, ms', percentile(before.times, 0.95), percentile(after.times, 0.95)],
  ];
}

/**
 * What Hearth adds to the time of a warm engine with the embedded model: from the question to the answer, less what the
 * engine took. The hands are quicker than the engine here, so that no pause is made for them.
 *
 * @returns {Promise<number[]>} milliseconds
 */
async function addedToEngine() {
  /** @type {number[]} */
  const added = [];
  await inPlace(async (place) => {
    await place.serve('embedded', ['--active-permits', '4']);
    const watcher = await open(place.rpc);
    const count = new EngineCount(watcher.connection);
    await watcher.connection.sendRequest('hearth/subscribe', { channels: ['activity'] });
    const { connection, close } = await open(place.rpc);
    await connection.sendRequest('initialize', { processId: null, rootUri: null, capabilities: {} });
    const document = new Document(connection, { name: 'a.ts', before: '', after: '\n', known: '', keys: [] });
    for (let round = 0; round < 25; round += 1) {
      document.type(
        `\nexport function compute${round}(first: number, second: number): number {\n  const value${round} = `,
      );
      for (const key of 'first') {
        document.type(key);
        await delay(3);
      }
      await count.take();
      count.done.length = 0;
      document.type(' ');
      const since = performance.now();
      const texts = await hearth(document, rpc.CancellationToken.None);
      const ms = performance.now() - since;
      await count.take();
      const [done] = count.done;
      if (texts.length > 0 && done !== undefined) added.push(ms - done.total_ms);
    }
    close();
    watcher.close();
  });
  return added;
}

/** @param {number[]} values @param {number} share */
function percentile(values, share) {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** @param {number} value */
function show(value) {
  return value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(2);
}

/** @param {string[]} cells */
function row(...cells) {
  const [name = '', ...figures] = cells;
  return name.padEnd(34) + figures.map((figure) => figure.padStart(10)).join('');
}

/** @param {string} name @param {number[]} measured @param {number} most */
function budget(name, measured, most) {
  const [middle, high] = [percentile(measured, 0.5), percentile(measured, 0.95)];
  if (measured.length === 0) return `${name.padEnd(38)} not measured`;
  const verdict = high <= most ? 'kept' : 'MISSED';
  return `${name.padEnd(38)} p50 ${show(middle)} ms, p95 ${show(high)} ms, of ${most} ms: ${verdict} (n ${measured.length})`;
}
