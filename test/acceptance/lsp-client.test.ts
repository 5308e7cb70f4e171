import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { codeMirror, pipeTransport } from '../support/code-mirror.js';
import { type HearthProcess, hearthScope } from '../support/daemon.js';

/** `hearth lsp` and an LSP client that is not ours: CodeMirror's. */

const hearth = hearthScope('test');
const uri = 'file:///project/add.ts';
const known = 'export function add(first: number, second: number): number {\n  return first + second;\n}\n';

/** The part of a message from the server that is looked at. */
const messageSchema = z.object({
  method: z.string().optional(),
  params: z.object({ message: z.string().optional() }).optional(),
});

interface Item {
  readonly insertText: string;
}

/** `hearth lsp` with the mock engine that knows one document, or with the embedded model. */
function lsp(engine: 'mock' | 'embedded' = 'mock'): HearthProcess {
  const home = hearth.makeHome();
  const place = ['--runtime-dir', home.runtimeDir, '--log-dir', home.logDir, '--linger-secs', '0'];
  const mock = ['--engine', 'mock', '--mock', JSON.stringify({ document: known, token_delay_ms: 5 })];
  return hearth.run(['lsp', ...place, ...(engine === 'mock' ? mock : [])], { home });
}

const at = (line: number, character: number): object => ({
  textDocument: { uri },
  position: { line, character },
  context: { triggerKind: 2 },
});

/** How many requests the engine has had. */
function asked(process: HearthProcess): number {
  return process.log.matching({ msg: 'request_done' }).length;
}

async function ready(process: HearthProcess): Promise<void> {
  await process.log.waitFor({ msg: 'daemon_ready' });
}

describe('an LSP client that is not ours', () => {
  const inline = { extensions: [{ clientCapabilities: { textDocument: { inlineCompletion: {} } } }] };

  test('gets ghost text, and types along it without the engine being asked again', async () => {
    const process = lsp();
    await ready(process);
    const { client, documents } = await codeMirror(pipeTransport(process.child), inline);
    expect(client.serverCapabilities).toMatchObject({ inlineCompletionProvider: true });
    expect(client.serverCapabilities).not.toHaveProperty('completionProvider');
    documents.open(uri, 'typescript', known.replace('return first + second;', ''));
    const ask = async (line: number, character: number): Promise<readonly Item[]> => {
      client.sync();
      return client.request<object, readonly Item[]>('textDocument/inlineCompletion', at(line, character));
    };
    expect(await ask(1, 2)).toMatchObject([{ insertText: 'return first + second;' }]);
    await process.log.waitFor({ msg: 'request_done' });
    const before = known.indexOf('return');
    const typed = 'return fi';
    for (const [index, key] of typed.split('').entries()) {
      documents.edit(uri, before + index, before + index, key);
      const rest = 'return first + second;'.slice(index + 1);
      expect(await ask(1, 2 + index + 1)).toMatchObject([{ insertText: rest }]);
    }
    // One for what was shown, and at most one that prepares what follows it.
    expect(asked(process)).toBeLessThanOrEqual(2);
    client.disconnect();
  });

  test('that knows no ghost text gets the same as entries of its completion list', async () => {
    const process = lsp();
    await ready(process);
    const completion = { extensions: [{ clientCapabilities: { textDocument: { completion: {} } } }] };
    const { client, documents } = await codeMirror(pipeTransport(process.child), completion);
    expect(client.serverCapabilities).toHaveProperty('completionProvider.triggerCharacters');
    documents.open(uri, 'typescript', known.replace('return first + second;', 'return fi'));
    const list = await client.request<object, unknown>('textDocument/completion', at(1, 11));
    expect(list).toMatchObject({
      isIncomplete: true,
      items: [{ label: 'first + second;', textEdit: { newText: 'first + second;' } }],
    });
    client.disconnect();
  });

  test('is told why there is nothing, and is answered whatever it asks while it edits', async () => {
    const process = lsp();
    await ready(process);
    const said: string[] = [];
    const { client, documents } = await codeMirror(pipeTransport(process.child), {
      ...inline,
      notificationHandlers: {
        'window/logMessage': (_client: unknown, { message }: { message: string }) => {
          said.push(message);
          return true;
        },
      },
    });
    documents.open(uri, 'typescript', '\u{1F525}\n');
    const ask = (line: number, character: number): Promise<readonly Item[]> =>
      client.request<object, readonly Item[]>('textDocument/inlineCompletion', at(line, character));
    // Inside the one character of the line, beyond its end, beyond the document.
    const answers = [ask(0, 1), ask(0, 400), ask(90_000, 0)];
    documents.edit(uri, 0, 2, 'x'.repeat(10));
    client.sync();
    answers.push(ask(0, 3));
    for (const answer of await Promise.all(answers)) expect(answer).toEqual([]);
    expect(said).toContain('No ghost text: inside_character.');
    expect(said.some((message) => message.includes('inside_word'))).toBe(true);
    client.disconnect();
  });

  test('keeps on with documents of any kind: 50 MB, zero bytes, line ends of all kinds', async () => {
    const process = lsp();
    await ready(process);
    const transport = pipeTransport(process.child);
    const methods: unknown[] = [];
    const said: string[] = [];
    transport.subscribe((text) => {
      const message = messageSchema.parse(JSON.parse(text));
      methods.push(message.method);
      if (message.params?.message !== undefined) said.push(message.params.message);
    });
    const { client, documents } = await codeMirror(transport, inline);
    const ask = (name: string, line: number, character: number): Promise<readonly Item[]> => {
      client.sync();
      const place = { ...at(line, character), textDocument: { uri: `file:///project/${name}` } };
      return client.request<object, readonly Item[]>('textDocument/inlineCompletion', place);
    };
    documents.open('file:///project/huge.ts', 'typescript', `// ${'x'.repeat(96)}\n`.repeat(500_000));
    documents.open('file:///project/binary.ts', 'typescript', 'PK\0\u0003\0');
    documents.open(uri, 'typescript', known.replace('return first + second;', ''));
    expect(await ask('huge.ts', 500_000, 0)).toEqual([]);
    for (let key = 0; key < 20; key += 1) documents.edit('file:///project/huge.ts', 0, 0, 'a');
    expect(await ask('huge.ts', 0, 20)).toEqual([]);
    expect(await ask('binary.ts', 0, 3)).toEqual([]);
    expect(await ask('add.ts', 1, 2)).toMatchObject([{ insertText: 'return first + second;' }]);
    expect(said).toContain('No ghost text: document_too_large.');
    expect(said).toContain('No ghost text: binary_document.');
    // CodeMirror counts line ends as one, so that these go as they are.
    client.notification('textDocument/didOpen', {
      textDocument: {
        uri: 'file:///project/ends.ts',
        languageId: 'typescript',
        version: 1,
        text: `// one\r// two\r\n// three\n${known.replace('  return first + second;\n', '\r\n  ').replace('\n}', '\r\n}')}`,
      },
    });
    const lines = await ask('ends.ts', 4, 0);
    expect(lines).toMatchObject([{ insertText: '  return first + second;' }]);
    // Nothing comes that a client of the protocol does not know.
    expect(methods.filter((method) => typeof method === 'string' && !/^(window|\$)\//.test(method))).toEqual(
      [],
    );
    client.disconnect();
  });

  test('may close, rename and reopen in another language while it waits, and undo in a storm', async () => {
    const process = lsp();
    await ready(process);
    const { client, documents } = await codeMirror(pipeTransport(process.child), inline);
    const ask = (name: string): Promise<readonly Item[]> => {
      client.sync();
      const place = { ...at(1, 2), textDocument: { uri: `file:///project/${name}` } };
      return client.request<object, readonly Item[]>('textDocument/inlineCompletion', place);
    };
    const begun = known.replace('return first + second;', '');
    documents.open('file:///project/old.ts', 'typescript', begun);
    const closed = ask('old.ts');
    client.didClose('file:///project/old.ts');
    expect(await closed).toEqual([]);
    documents.open('file:///project/new.js', 'javascript', begun);
    const answers: Promise<readonly Item[]>[] = [];
    const cursor = begun.indexOf('{\n') + 4;
    for (let round = 0; round < 60; round += 1) {
      if (round % 2 === 0) documents.edit('file:///project/new.js', cursor, cursor, 'while');
      else documents.edit('file:///project/new.js', cursor, cursor + 5, '');
      answers.push(ask('new.js'));
    }
    expect((await Promise.all(answers)).length).toBe(60);
    expect(await ask('new.js')).toMatchObject([{ insertText: 'return first + second;' }]);
    // All but a few of the storm were given up before they came to the engine.
    expect(asked(process)).toBeLessThan(20);
    client.disconnect();
  });

  test('gets ghost text of the embedded model', async () => {
    const process = lsp('embedded');
    await ready(process);
    const { client, documents } = await codeMirror(pipeTransport(process.child), inline);
    documents.open(uri, 'typescript', 'export function add(a: number, b: number): number {\n  return \n}\n');
    const items = await client.request<object, readonly Item[]>('textDocument/inlineCompletion', at(1, 9));
    expect(items.length).toBeLessThanOrEqual(1);
    const { completion_tokens: tokens } = await process.log.waitFor({ msg: 'request_done' });
    expect(tokens).toBeGreaterThan(0);
    client.disconnect();
  });
});
