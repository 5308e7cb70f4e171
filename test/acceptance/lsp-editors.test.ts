import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { hearthScope } from '../support/daemon.js';
import { type Frame, isObject, toFrame } from '../support/raw-client.js';
import { RpcPeer } from '../support/rpc-peer.js';

/**
 * `hearth lsp` and what real editors send: each file of editors/ is what one of them wrote to it, as it was recorded, while
 * a person opened a file, went to the end of its second line, behind a character of two UTF-16 units, and typed
 * `return fi`. The last message asks what follows.
 */

const hearth = hearthScope('test');
const recorded = fileURLToPath(new URL('./editors', import.meta.url));
const known = 'export function add(first: number, second: number): number {\n  return first + second;\n}\n';

function messagesOf(file: string): readonly Frame[] {
  const all: unknown = JSON.parse(readFileSync(`${recorded}/${file}`, 'utf8'));
  if (!Array.isArray(all)) throw new Error(`${file} is no list`);
  return all.map((one) => toFrame(JSON.stringify(one)));
}

test.each(readdirSync(recorded))('%s is served as it speaks', async (file) => {
  const home = hearth.makeHome();
  const mock = JSON.stringify({ document: known, token_delay_ms: 1 });
  const place = ['--runtime-dir', home.runtimeDir, '--log-dir', home.logDir, '--linger-secs', '0'];
  const process = hearth.run(['lsp', ...place, '--engine', 'mock', '--mock', mock], { home });
  await process.log.waitFor({ msg: 'daemon_ready' });
  const peer = RpcPeer.of(process);
  const [initialize, ...more] = messagesOf(file);
  if (initialize === undefined) throw new Error(`${file} is empty`);
  const welcome = await peer.exchange(initialize);
  const asked = more.at(-1)?.['method'];
  const listed = asked === 'textDocument/completion';
  expect(welcome).toMatchObject({
    result: { capabilities: { positionEncoding: 'utf-16', inlineCompletionProvider: true } },
  });
  const { capabilities } = isObject(welcome?.['result']) ? welcome['result'] : {};
  expect(isObject(capabilities) && 'completionProvider' in capabilities).toBe(listed);
  let answer: Frame | undefined;
  for (const message of more) answer = await peer.exchange(message);
  const end = { line: 1, character: 20 };
  expect(answer?.['result']).toMatchObject(
    listed
      ? {
          items: [
            {
              label: 'first + second;',
              textEdit: { newText: 'first + second;', range: { start: { line: 1, character: 18 }, end } },
            },
          ],
        }
      : [{ insertText: 'rst + second;', range: { start: end, end } }],
  );
});
