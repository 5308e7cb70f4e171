import { describe, expect, test } from 'vitest';
import { codeMirror, pipeTransport } from '../support/code-mirror.js';
import { type HearthProcess, hearthScope } from '../support/daemon.js';

/** `hearth lsp` and an LSP client that is not ours: CodeMirror's. */

const hearth = hearthScope('test');
const uri = 'file:///project/add.ts';
const known = 'export function add(first: number, second: number): number {\n  return first + second;\n}\n';

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
