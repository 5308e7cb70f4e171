import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Locator } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFailed } from 'vitest';
import { chunk, json, UpstreamServer, type Seen } from '../../support/upstream.js';
import { openWorkbench, type Workbench } from '../harness/workbench.js';
import { askHealth, readyEntry } from './hearth-page.js';

/**
 * VS Code's own chat and inline chat, with the chat extension that VS Code brings along and nobody signed in, answered by
 * Hearth. What the model says is scripted: a service stands behind the daemon.
 */

const original = 'export function add(a: number, b: number): number {\n  return a + b;\n}\n';

/** The part of a request that the script looks at. */
interface Asked {
  readonly messages: readonly { readonly role: string; readonly content: unknown }[];
  readonly tools?: readonly { readonly function: { readonly name: string } }[];
  readonly tool_choice?: string;
}

type Script = (asked: Asked, response: ServerResponse) => Promise<void> | void;

let workbench: Workbench;
let configuration: string;
let service: UpstreamServer;
let script: Script;

beforeAll(async () => {
  configuration = await mkdtemp(path.join(os.tmpdir(), 'hearth-'));
  service = await UpstreamServer.listen(answerAsScripted);
  const file = path.join(configuration, 'config.json');
  const backend = { kind: 'openai-compat', base_url: service.url, context_size: 65_536 };
  writeFileSync(file, JSON.stringify({ backends: [backend] }));
  workbench = await openWorkbench({
    bundledChat: true,
    files: { 'add.ts': original, 'sum.ts': original, 'times.ts': original },
    env: { HEARTH_CONFIG: file },
    settings: { 'hearth.inlineCompletions.enabled': false, 'editor.minimap.enabled': false },
  });
  await readyEntry(workbench.page).waitFor();
});

afterAll(async () => {
  await workbench.stop();
  await service.close();
  await rm(configuration, { recursive: true });
});

beforeEach(() => {
  script = (_, response) => say(response, ['Nothing is scripted.']);
});

describe('inline chat', () => {
  it('applies the edit that the model makes by a call, and lets it be kept', async () => {
    keepPicture('native-inline-chat-failed');
    script = (_, response) => call(response, 'replace_string_in_file', edit('add.ts', 'a + b', 'a * b'));
    await askInline('add.ts', 'Multiply in place of adding');
    await line('return a * b').waitFor();
    await workbench.shot('native-inline-chat');
    expect(lastAsked().tools?.map((tool) => tool.function.name)).toEqual(['replace_string_in_file']);
    await workbench.page.getByText('Keep', { exact: true }).first().click();
    await expect.poll(() => onDisk('add.ts')).toContain('return a * b;');
  });

  it('says that nothing was changed where the model only talks', async () => {
    keepPicture('native-inline-prose-failed');
    script = (_, response) => say(response, ['You could ', 'use a product.']);
    await askInline('sum.ts', 'Multiply');
    await inlineAnswer('Nothing was changed').waitFor();
    await workbench.shot('native-inline-prose');
    expect(onDisk('sum.ts')).toBe(original);
  });

  it('says why there is no answer', async () => {
    keepPicture('native-inline-failure-failed');
    script = (_, response) => void response.destroy();
    await askInline('sum.ts', 'Multiply');
    await inlineAnswer('the connection to the service broke').waitFor();
  });
});

describe('chat as an agent', () => {
  it('edits a file by a call, gets the result, and answers', async () => {
    keepPicture('native-agent-failed');
    script = ({ messages }, response) => {
      if (messages.some(({ role }) => role === 'tool')) say(response, ['It multiplies ', 'now.']);
      else call(response, 'replace_string_in_file', edit('times.ts', 'a + b', 'a * b'));
    };
    await askAgent('Make times.ts multiply');
    await chat().getByText('It multiplies now.').waitFor();
    expect(onDisk('times.ts')).toContain('return a * b;');
    const roles = lastAsked().messages.map(({ role }) => role);
    expect(roles).toEqual(['system', 'user', 'assistant', 'tool']);
    await workbench.shot('native-agent');
  });

  it('stops the engine when it is stopped', async () => {
    keepPicture('native-agent-stop-failed');
    const before = service.asked('/v1/chat/completions').length;
    // It goes on until nobody listens any more.
    script = async (_, response) => {
      for (let word = 1; !response.destroyed; word += 1) {
        response.write(chunk(`word${word} `));
        await delay(100);
      }
    };
    await askAgent('Count');
    await chat().getByText('word3').first().waitFor();
    await chat().locator('.codicon-stop-circle').first().click();
    const asked = await service.request('/v1/chat/completions', before + 1);
    await asked.closed;
    await expect
      .poll(async () => (await askHealth(workbench.editor.runtimeDirectory)).admission.permitsInUse)
      .toBe(0);
  });

  it('says why there is no answer', async () => {
    keepPicture('native-agent-failure-failed');
    script = (_, response) => void response.destroy();
    await askAgent('Fail');
    await chat().getByText('the connection to the service broke').waitFor();
    // A stack would stand behind the reason.
    expect(await chat().innerText()).not.toContain('.cjs');
  });
});

function answerAsScripted(response: ServerResponse, seen: Seen): Promise<void> | void {
  if (seen.path !== '/v1/chat/completions') {
    json(response, 200, { object: 'list', data: [{ id: 'scripted', object: 'model' }] });
    return;
  }
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  return script(JSON.parse(seen.body.toString()) as Asked, response);
}

function say(response: ServerResponse, pieces: readonly string[]): void {
  for (const piece of pieces) response.write(chunk(piece));
  finish(response, 'stop');
}

function call(response: ServerResponse, name: string, input: Readonly<Record<string, unknown>>): void {
  const calls = [
    { index: 0, id: 'call_1', type: 'function', function: { name, arguments: JSON.stringify(input) } },
  ];
  const choices = [{ index: 0, delta: { tool_calls: calls }, finish_reason: null }];
  response.write(`data: ${JSON.stringify({ choices })}\n\n`);
  finish(response, 'tool_calls');
}

function finish(response: ServerResponse, reason: string): void {
  response.write(chunk('', reason));
  const usage = { prompt_tokens: 700, completion_tokens: 30 };
  response.end(`data: ${JSON.stringify({ choices: [], usage })}\n\ndata: [DONE]\n\n`);
}

function edit(file: string, oldString: string, newString: string): Readonly<Record<string, unknown>> {
  return { filePath: path.join(workbench.editor.workspace, file), oldString, newString };
}

function lastAsked(): Asked {
  return JSON.parse(service.asked('/v1/chat/completions').at(-1)?.body.toString() ?? '{}') as Asked;
}

/** Opens a file, asks VS Code's inline chat for a change at its second line, and sends. */
async function askInline(file: string, instruction: string): Promise<void> {
  const { page } = workbench;
  await page.keyboard.press('Escape');
  await page.locator('.explorer-folders-view .monaco-list-row').filter({ hasText: file }).first().dblclick();
  await page.locator('.tab.active').filter({ hasText: file }).waitFor();
  await line('return').click();
  await page.keyboard.press('Control+i');
  const input = page.locator('.inline-chat .interactive-input-part .monaco-editor.focused').first();
  await input.waitFor();
  await page.keyboard.type(instruction);
  await input.filter({ hasText: instruction }).waitFor();
  await page.keyboard.press('Enter');
}

/** Asks in the chat view, in a chat that is new. */
async function askAgent(question: string): Promise<void> {
  const { page } = workbench;
  await chat().locator('.interactive-input-part .monaco-editor .view-lines').first().click();
  await page.keyboard.type(question);
  await page.keyboard.press('Enter');
}

function chat(): Locator {
  return workbench.page.locator('.part.auxiliarybar .interactive-session').first();
}

/** What inline chat shows in place of an edit. */
function inlineAnswer(text: string): Locator {
  return workbench.page.locator('.zone-widget').filter({ hasText: text }).first();
}

function line(text: string): Locator {
  return workbench.page
    .locator('.editor-group-container.active .view-line')
    .filter({ hasText: text })
    .first();
}

function onDisk(file: string): string {
  return readFileSync(path.join(workbench.editor.workspace, file), 'utf8');
}

/** Keeps a picture of the page where the test fails. */
function keepPicture(name: string): void {
  onTestFailed(async () => {
    await workbench.shot(name);
  });
}
