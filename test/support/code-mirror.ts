import type { ChildProcess } from 'node:child_process';
import {
  LSPClient,
  Workspace,
  type LSPClientConfig,
  type Transport,
  type WorkspaceFile,
} from '@codemirror/lsp-client';
import { ChangeSet, Text } from '@codemirror/state';
import { ceilingMs } from './wait.js';

/**
 * CodeMirror's own LSP client, of which no line is ours or Microsoft's: it makes the handshake, keeps documents in
 * step and matches answers to questions. Here it speaks to a process, and to documents without a screen.
 */

/** Messages of LSP over the pipes of a process. */
export function pipeTransport({ stdin, stdout }: ChildProcess): Transport {
  const handlers = new Set<(message: string) => void>();
  let buffer = Buffer.alloc(0);
  stdout?.on('data', (chunk: Buffer | string) => {
    buffer = Buffer.concat([buffer, Buffer.from(chunk)]);
    for (;;) {
      const header = /^Content-Length: (\d+)\r\n\r\n/.exec(buffer.toString('latin1', 0, 200));
      if (header === null) return;
      const start = header[0].length;
      const end = start + Number(header[1]);
      if (buffer.length < end) return;
      const message = buffer.toString('utf8', start, end);
      buffer = buffer.subarray(end);
      for (const handler of handlers) handler(message);
    }
  });
  return {
    send: (message) => {
      stdin?.write(`Content-Length: ${Buffer.byteLength(message)}\r\n\r\n${message}`);
    },
    subscribe: (handler) => handlers.add(handler),
    unsubscribe: (handler) => handlers.delete(handler),
  };
}

/** A document that is edited by a program. */
interface Document extends WorkspaceFile {
  pending: { readonly doc: Text; readonly changes: ChangeSet } | undefined;
}

/** Documents without views. */
export class Documents extends Workspace {
  files: Document[] = [];

  open(uri: string, languageId: string, text: string): void {
    const doc = Text.of(text.split('\n'));
    const file: Document = { uri, languageId, version: 0, doc, getView: () => null, pending: undefined };
    this.files.push(file);
    this.client.didOpen(file);
  }

  /** Replaces a part, to be told to the server at the next question. */
  edit(uri: string, from: number, to: number, insert: string): void {
    const file = this.files.find((one) => one.uri === uri);
    if (file === undefined) throw new Error('that document is not open');
    const doc = file.pending?.doc ?? file.doc;
    const changes = ChangeSet.of({ from, to, insert }, doc.length);
    const all = file.pending === undefined ? changes : file.pending.changes.compose(changes);
    file.pending = { doc: changes.apply(doc), changes: all };
  }

  override syncFiles(): { file: Document; prevDoc: Text; changes: ChangeSet }[] {
    return this.files.flatMap((file) => {
      if (file.pending === undefined) return [];
      const update = { file, prevDoc: file.doc, changes: file.pending.changes };
      file.doc = file.pending.doc;
      file.version += 1;
      file.pending = undefined;
      return [update];
    });
  }

  override openFile(): void {
    throw new Error('there are no views here');
  }

  override closeFile(): void {
    throw new Error('there are no views here');
  }
}

/** A client that has shaken hands with the server at the other end of `transport`. */
export async function codeMirror(
  transport: Transport,
  config: Omit<LSPClientConfig, 'workspace'> = {},
): Promise<{ readonly client: LSPClient; readonly documents: Documents }> {
  let documents: Documents | undefined;
  const client = new LSPClient({
    ...config,
    timeout: ceilingMs,
    workspace: (its) => (documents = new Documents(its)),
  });
  client.connect(transport);
  await client.initializing;
  if (documents === undefined) throw new Error('the client made no workspace');
  return { client, documents };
}
