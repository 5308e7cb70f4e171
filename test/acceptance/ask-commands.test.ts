import fs from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { hearthScope, type HearthProcess } from '../support/daemon.js';

/** The commands that ask a model for something, in a pipe, as a script uses them. */

describe('commands in a pipe', () => {
  const hearth = hearthScope('file');
  let daemon: HearthProcess;

  beforeAll(async () => {
    daemon = await hearth.serve({
      mock: {
        tokens: ['fine'],
        script: [
          { when: 'first', pieces: [{ text: 'one' }] },
          { when: 'second\nline', pieces: [{ text: 'two' }] },
          { when: 'broken', pieces: [{ failure: 'invalid_request' }] },
        ],
      },
    });
  });

  async function run(args: readonly string[], input = ''): Promise<HearthProcess & { code: number | null }> {
    const { home } = daemon;
    const started = hearth.run([...args, '--runtime-dir', home.runtimeDir], { home });
    started.child.stdin?.end(input);
    const { code } = await started.end();
    return Object.assign(started, { code });
  }

  test('chat answers line by line, remembers what was said, and saves it', async () => {
    const file = path.join(daemon.home.root, 'talk.json');
    const input = [
      'first',
      'second\\',
      'line',
      '/system Be brief.',
      'broken',
      `/save ${file}`,
      '/bye',
      'never',
    ];
    const chat = await run(['chat'], `${input.join('\n')}\n`);
    expect(chat).toMatchObject({ code: 0, stdout: 'one\ntwo\n' });
    expect(chat.stderr).toContain('invalid_request');
    expect(JSON.parse(fs.readFileSync(file, 'utf8'))).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'first' },
      { role: 'assistant', content: 'one' },
      { role: 'user', content: 'second\nline' },
      { role: 'assistant', content: 'two' },
    ]);
    expect(fs.statSync(file).mode & 0o777).toBe(0o600);
    const again = await run(['chat'], `/save ${file}\n`);
    expect(again.stderr).toContain('is there already');
  });

  test('embed gives a vector a line, for lines and for arguments', async () => {
    const lines = Array.from({ length: 70 }, (_, index) => `word${String(index)}`);
    const piped = await run(['embed'], `${lines.join('\n')}\n`);
    expect(piped.code).toBe(0);
    const vectors = piped.stdout
      .trimEnd()
      .split('\n')
      .map((line): unknown => JSON.parse(line));
    expect(vectors).toHaveLength(70);
    expect(vectors[69]).toMatchObject({ index: 69, embedding: expect.any(Array) as unknown });
    const one = await run(['embed', '--plain', '--dimensions', '4', 'word69']);
    expect(one.stdout.trim().split(' ')).toHaveLength(4);
    const wrong = await run(['embed', '--task', 'poetry', 'x']);
    expect(wrong).toMatchObject({ code: 2, stdout: '' });
    expect(wrong.stderr).toContain('retrieval_query');
  });

  test('rerank sorts lines, the best first', async () => {
    const ranked = await run(['rerank', 'red cat', '--top', '2'], 'a dog\na red cat\nred\n');
    expect(ranked).toMatchObject({ code: 0, stdout: '2.0000\ta red cat\n1.0000\tred\n' });
    const json = await run(['rerank', 'red', '--json'], 'red\n');
    expect(JSON.parse(json.stdout)).toEqual({ index: 0, score: 1, document: 'red' });
    const many = await run(['rerank', 'red'], 'x\n'.repeat(257));
    expect(many).toMatchObject({ code: 2, stdout: '' });
    expect(many.stderr).toContain('256');
  });

  test('tokenize gives numbers, their count, and the text again', async () => {
    expect(await run(['tokenize', 'hi'])).toMatchObject({ code: 0, stdout: '104 105\n' });
    expect(await run(['tokenize', '--count'], 'hello')).toMatchObject({ stdout: '5\n' });
    expect(await run(['tokenize', '--decode', '104 105'])).toMatchObject({ stdout: 'hi\n' });
    expect(await run(['tokenize', '--decode', 'hi'])).toMatchObject({ code: 2 });
  });
});
