import { execFile } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { hearthScope } from '../support/daemon.js';
import { serveGateway } from '../support/gateway.js';

/** A coding agent that people use, Continue's `cn` from npm, as it comes: its own prompts, tools and client. */
const hearth = hearthScope('test');
const agent = createRequire(import.meta.url).resolve('@continuedev/cli/dist/cn.js');
const run = promisify(execFile);

test('row 169: a coding agent reads a file by a tool call and answers from its result', async () => {
  const script = [
    { when: 'blue-whale', pieces: [{ text: 'The note ' }, { text: 'says blue-whale.' }] },
    { when: 'note', pieces: [{ tool_call: { name: 'Read', arguments: { filepath: 'note.txt' } } }] },
  ];
  const { daemon, url, token } = await serveGateway(hearth, { mock: { script } });
  const work = path.join(daemon.home.root, 'work');
  fs.mkdirSync(work);
  fs.writeFileSync(path.join(work, 'note.txt'), 'the word is blue-whale\n');
  const model = { name: 'mock', provider: 'openai', model: 'mock', apiBase: `${url}/v1`, apiKey: token };
  const config = {
    ...{ name: 'test', version: '0.0.1', schema: 'v1' },
    models: [{ ...model, roles: ['chat'], capabilities: ['tool_use'] }],
  };
  // JSON is YAML too.
  fs.writeFileSync(path.join(work, 'config.yaml'), JSON.stringify(config));

  const answered = run(
    process.execPath,
    [agent, '-p', 'What does the note say?', '--auto', '--config', './config.yaml'],
    {
      cwd: work,
      env: daemon.home.environment({ CONTINUE_TELEMETRY_ENABLED: '0' }),
      timeout: 110_000,
    },
  );
  answered.child.stdin?.end();
  const { stdout } = await answered;
  expect(stdout.trim()).toBe('The note says blue-whale.');
  // One request asked for the call, the next brought its result.
  expect(await daemon.log.waitFor({ msg: 'request_done' }, { count: 2 })).toBeDefined();
});
