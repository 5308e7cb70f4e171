import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Locator } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { chunk, json, UpstreamServer, type Seen } from '../../support/upstream.js';
import { openWorkbench, type Workbench } from '../harness/workbench.js';
import { cancelledRequests, engineStopped, readyEntry, runCommand } from './hearth-page.js';

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
  readonly temperature?: number;
}

/** For what takes its time on a busy machine. */
const patient = { timeout: 60_000 };

const chatSettings = {
  'inlineChat.defaultModel': 'scripted (remote) (hearth)',
  'chat.utilityModel': 'hearth/scripted',
  'chat.utilitySmallModel': 'hearth/scripted',
};

type Script = (asked: Asked, response: ServerResponse) => Promise<void> | void;

let workbench: Workbench;
let configuration: string;
/** Where the daemon's settings stand. */
let configFile: string;
let service: UpstreamServer;
let script: Script;

beforeAll(async () => {
  configuration = await mkdtemp(path.join(os.tmpdir(), 'hearth-'));
  service = await UpstreamServer.listen(answerAsScripted);
  configFile = path.join(configuration, 'config.json');
  const backend = { kind: 'openai-compat', base_url: service.url, context_size: 65_536 };
  writeFileSync(configFile, JSON.stringify({ backends: [backend] }));
  workbench = await openWorkbench({
    bundledChat: true,
    files: {
      'add.ts': original,
      'sum.ts': original,
      'times.ts': original,
      'wrong.ts': original.replace('a + b', 'a + c'),
      'big.txt': 'words '.repeat(100_000),
    },
    env: { HEARTH_CONFIG: configFile },
    settings: {
      'hearth.inlineCompletions.enabled': false,
      'editor.minimap.enabled': false,
    },
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

describe("Hearth in VS Code's chat", () => {
  it('is set up by one command, without an account', async () => {
    workbench.keepPicture('native-setup-failed');
    await runCommand(workbench.page, "Hearth: Use Hearth in VS Code's Chat");
    await expect.poll(settings, patient).toMatchObject(chatSettings);
    await expect.poll(groups, patient).toEqual([{ name: 'Hearth', vendor: 'hearth' }]);
  });
});

describe('inline chat', () => {
  it('applies the edit that the model makes by a call, and lets it be kept', async () => {
    workbench.keepPicture('native-inline-chat-failed');
    script = (_, response) => call(response, 'replace_string_in_file', edit('add.ts', 'a + b', 'a * b'));
    await askInline('add.ts', 'Multiply in place of adding');
    await line('return a * b').waitFor();
    await workbench.page.locator('.zone-widget .codicon-stop-circle').first().waitFor({ state: 'hidden' });
    await workbench.shot('native-inline-chat');
    const { tools, tool_choice, temperature } = asked().at(-1) ?? {};
    expect(tools?.map((tool) => tool.function.name)).toEqual(['replace_string_in_file']);
    expect({ tool_choice, temperature }).toEqual({ tool_choice: 'auto', temperature: 0.2 });
    await workbench.page.getByText('Keep', { exact: true }).first().click();
    await expect.poll(() => onDisk('add.ts'), patient).toContain('return a * b;');
  });

  it('says that nothing was changed where the model only talks', async () => {
    workbench.keepPicture('native-inline-prose-failed');
    script = (_, response) => say(response, ['You could ', 'use a product.']);
    await askInline('sum.ts', 'Multiply');
    await inlineAnswer('Nothing was changed').waitFor();
    await workbench.shot('native-inline-prose');
    expect(onDisk('sum.ts')).toBe(original);
  });

  it('says why there is no answer', async () => {
    workbench.keepPicture('native-inline-failure-failed');
    script = (_, response) => void response.destroy();
    await askInline('sum.ts', 'Multiply');
    await inlineAnswer('the connection to the service broke').waitFor();
  });
});

describe('Stop in inline chat', () => {
  it('stops the engine', async () => {
    workbench.keepPicture('native-inline-stop-failed');
    const cancelled = cancelledRequests(workbench.editor);
    let stopped = (): void => undefined;
    const isStopped = new Promise<void>((resolve) => {
      stopped = resolve;
    });
    script = async (_, response) => {
      response.once('close', stopped);
      response.write(chunk('Thinking '));
      await isStopped;
    };
    await askInline('sum.ts', 'Multiply for ever');
    await expect
      .poll(
        () =>
          asked()
            .at(-1)
            ?.messages.some(({ content }) => String(content).includes('for ever')),
        patient,
      )
      .toBe(true);
    await workbench.shot('native-inline-running');
    await workbench.page.locator('.zone-widget .codicon-stop-circle').first().click();
    await isStopped;
    await engineStopped(workbench.editor, cancelled);
  });
});

describe('chat as an agent', () => {
  it('edits a file by a call, gets the result, and answers', async () => {
    workbench.keepPicture('native-agent-failed');
    script = ({ messages }, response) => {
      if (messages.some(({ role }) => role === 'tool')) say(response, ['It multiplies ', 'now.']);
      else call(response, 'replace_string_in_file', edit('times.ts', 'a + b', 'a * b'));
    };
    await open('times.ts');
    await ask('Make times.ts multiply');
    await chat().getByText('It multiplies now.').waitFor();
    expect(onDisk('times.ts')).toContain('return a * b;');
    const roles = asked()
      .at(-1)
      ?.messages.map(({ role }) => role);
    expect(roles).toEqual(['system', 'user', 'assistant', 'tool']);
    await line('return a * b').waitFor();
    await workbench.shot('native-agent');
  });

  it('stops the engine when it is stopped', async () => {
    workbench.keepPicture('native-agent-stop-failed');
    await stopWhileCounting('Count');
  });

  it('says why there is no answer', async () => {
    workbench.keepPicture('native-agent-failure-failed');
    script = (_, response) => void response.destroy();
    await ask('Fail');
    await chat().getByText('the connection to the service broke').waitFor();
    // A stack would stand behind the reason.
    expect(await chat().innerText()).not.toContain('.cjs');
  });
});

describe('@hearth', () => {
  it('explains the file that is open, and remembers what was said', async () => {
    workbench.keepPicture('participant-explain-failed');
    script = (_, response) => say(response, ['It adds ', 'two numbers.']);
    await open('sum.ts');
    await ask('@hearth /explain in one sentence');
    await chat().getByText('It adds two numbers.').waitFor();
    const [system, user] = asked().at(-1)?.messages ?? [];
    expect(system?.content).toContain('You help a programmer');
    expect(user?.content).toContain(original.trim());
    expect(user?.content).toContain('in one sentence');
    script = (_, response) => say(response, ['Because of ', 'the plus.']);
    await ask('@hearth why?');
    await chat().getByText('Because of the plus.').waitFor();
    const said =
      asked()
        .at(-1)
        ?.messages.map(({ content }) => content) ?? [];
    expect(said.slice(1, 3)).toEqual(['/explain in one sentence', 'It adds two numbers.']);
    expect(said[3]).toContain('why?');
  });

  it('fixes, documents and tests what is open, and says what is wrong with it', async () => {
    workbench.keepPicture('participant-code-failed');
    await open('wrong.ts');
    await workbench.page.locator('.squiggly-error').first().waitFor();
    script = (_, response) =>
      say(response, ['There is no `c`: ', 'it should be `b`.\n\n', '```ts\nreturn a + b;\n```\n']);
    await ask('@hearth /fix ');
    await chat().getByText('it should be').waitFor();
    await chat().locator('.codicon-stop-circle').first().waitFor({ state: 'hidden' });
    await workbench.shot('participant');
    const fix = String(asked().at(-1)?.messages.at(-1)?.content);
    expect(fix).toContain('return a + c;');
    expect(fix).toContain("line 2: Cannot find name 'c'");
    script = (_, response) => say(response, ['/** Adds. */', ' is what it wants.']);
    await ask('@hearth /doc ');
    await chat().getByText('is what it wants.').waitFor();
    expect(String(asked().at(-1)?.messages.at(-1)?.content)).toContain('documentation comment');
    script = (_, response) => say(response, ['Two tests ', 'will do.']);
    await ask('@hearth /tests ');
    await chat().getByText('Two tests will do.').waitFor();
    expect(String(asked().at(-1)?.messages.at(-1)?.content)).toContain('Write tests for this code');
  });

  it('tells of the daemon, its models and its queue without asking a model', async () => {
    workbench.keepPicture('participant-health-failed');
    const before = asked().length;
    await ask('@hearth /health ');
    await chat().getByText('Context: 65,536 tokens').waitFor();
    await ask('@hearth /models ');
    await chat().getByText('scripted (remote): scripted · ready').waitFor();
    await ask('@hearth /queue ');
    await chat().getByText('Nothing is being generated. Running: 0 of 4.').waitFor();
    expect(asked().length).toBe(before);
  });

  it('says what to do where the code is larger than the context, and where there is none', async () => {
    workbench.keepPicture('participant-bad-input-failed');
    await open('big.txt');
    await ask('@hearth /tests ');
    await chat().getByText('room for 61440 beside the answer. Select or attach less').waitFor();
    await runCommand(workbench.page, 'View: Close All Editors');
    await workbench.page.locator('.editor-group-container .tab').first().waitFor({ state: 'detached' });
    await ask('@hearth /fix ');
    await chat().getByText('There is no code to work on. Open a file').waitFor();
  });

  it('stops the engine when it is stopped', async () => {
    workbench.keepPicture('participant-stop-failed');
    await stopWhileCounting('@hearth count');
  });
});

describe('while a long prompt is read', () => {
  /** The service takes a prompt, and says nothing of it until it is let go. */
  function hold(): { readonly letGo: () => void; readonly came: Promise<void> } {
    let letGo = (): void => undefined;
    let come = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const came = new Promise<void>((resolve) => {
      come = resolve;
    });
    script = async (_, response) => {
      come();
      await gate;
      say(response, ['I have ', 'read all of it.']);
    };
    return { letGo, came };
  }

  it('the status bar says so for chat, and for how long, until the answer begins', async () => {
    workbench.keepPicture('native-prefill-failed');
    const held = hold();
    await ask('Read this long prompt');
    await held.came;
    const entry = workbench.statusBarItem(/Hearth: reading the prompt \(\d+ s\)/);
    await entry.waitFor();
    await workbench.shot('native-prefill');
    held.letGo();
    await chat().getByText('I have read all of it.').waitFor();
    await entry.waitFor({ state: 'detached' });
  });

  it('@hearth says so in its answer', async () => {
    workbench.keepPicture('participant-prefill-failed');
    const held = hold();
    await ask('@hearth read this long prompt');
    await held.came;
    await chat().getByText('Reading the prompt …').waitFor();
    await workbench.shot('participant-prefill');
    held.letGo();
    await chat().getByText('I have read all of it.').nth(1).waitFor();
    await chat().getByText('Reading the prompt …').waitFor({ state: 'detached' });
  });
});

describe('where there is no model', () => {
  beforeAll(async () => {
    writeFileSync(configFile, JSON.stringify({ model: '/nowhere/none.gguf' }));
    await runCommand(workbench.page, 'Hearth: Restart Sidecar');
    await workbench.statusBarItem('Hearth: failed').waitFor();
  });

  it('@hearth says so, and what to do', async () => {
    workbench.keepPicture('participant-no-model-failed');
    await ask('@hearth hello');
    await chat().getByText('Hearth has no model to answer with').waitFor();
    await chat().getByText('Choose a Model', { exact: true }).waitFor();
    await ask('@hearth /models ');
    await chat().getByText('Hearth has no model to answer with').nth(1).waitFor();
    await ask('@hearth /health ');
    await chat().getByText('There is no such model file').last().waitFor();
    await workbench.shot('participant-no-model');
  });

  it('chat says so, and what to do', async () => {
    workbench.keepPicture('native-no-model-failed');
    await ask('hello');
    await expect
      .poll(() => chat().innerText(), patient)
      .toContain('Reason: Hearth has no model to answer with');
  });

  it('inline chat says so, and what to do', async () => {
    workbench.keepPicture('native-inline-no-model-failed');
    await askInline('sum.ts', 'Multiply');
    await inlineAnswer('Hearth has no model to answer with').waitFor();
  });
});

describe('what was set up', () => {
  it('is undone by one command', async () => {
    workbench.keepPicture('native-undo-failed');
    await runCommand(workbench.page, "Hearth: Undo Use Hearth in VS Code's Chat");
    await expect
      .poll(() => Object.keys(settings()).filter((name) => name in chatSettings), patient)
      .toEqual([]);
  });
});

function answerAsScripted(response: ServerResponse, seen: Seen): Promise<void> | void {
  if (seen.path !== '/v1/chat/completions') {
    json(response, 200, { object: 'list', data: [{ id: 'scripted', object: 'model' }] });
    return;
  }
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  const wish = JSON.parse(seen.body.toString()) as Asked;
  if (!isUtility(wish)) return script(wish, response);
  say(response, ['A title']);
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

/** What was asked for, in order, without what VS Code asks its utility model. */
function asked(): readonly Asked[] {
  return service
    .asked('/v1/chat/completions')
    .map(({ body }) => JSON.parse(body.toString()) as Asked)
    .filter((wish) => !isUtility(wish));
}

/** Whether VS Code asks its utility model, for a title or a few words of progress: chat brings tools, `@hearth` its own words. */
function isUtility({ messages, tools = [] }: Asked): boolean {
  return tools.length === 0 && !String(messages[0]?.content).includes('You help a programmer');
}

/** Asks for an answer without an end, stops it, and sees that the engine stops. */
async function stopWhileCounting(question: string): Promise<void> {
  let stopped = (): void => undefined;
  const isStopped = new Promise<void>((resolve) => {
    stopped = resolve;
  });
  // It goes on until nobody listens any more.
  script = async (_, response) => {
    for (let word = 1; !response.destroyed; word += 1) {
      response.write(chunk(`word${word} `));
      await delay(100);
    }
    stopped();
  };
  const before = await chat().getByText('word3').count();
  const cancelled = cancelledRequests(workbench.editor);
  await ask(question);
  await chat().getByText('word3').nth(before).waitFor();
  await chat().locator('.codicon-stop-circle').first().click();
  await isStopped;
  await engineStopped(workbench.editor, cancelled);
}

async function open(file: string): Promise<void> {
  const { page } = workbench;
  await page.keyboard.press('Escape');
  await page.locator('.explorer-folders-view .monaco-list-row').filter({ hasText: file }).first().dblclick();
  await page.locator('.tab.active').filter({ hasText: file }).waitFor();
  await page.locator('.editor-group-container.active .view-line').first().waitFor();
}

/** Opens a file, asks VS Code's inline chat for a change at its second line, and sends. */
async function askInline(file: string, instruction: string): Promise<void> {
  const { page } = workbench;
  await open(file);
  await line('return').click();
  await page.keyboard.press('Control+i');
  const input = page.locator('.inline-chat .interactive-input-part .monaco-editor.focused').first();
  await input.waitFor();
  await page.keyboard.type(instruction);
  await input.filter({ hasText: instruction }).waitFor();
  await page.keyboard.press('Enter');
}

/** Asks in the chat view. */
async function ask(question: string): Promise<void> {
  const { page } = workbench;
  const input = chat().locator('.interactive-input-part .monaco-editor .view-lines').first();
  await input.click();
  // All at once: key by key, a list of names opens at the first, and Enter would take one of them.
  await page.keyboard.insertText(question);
  await input.filter({ hasText: question.trim().split(' ').at(-1) ?? '' }).waitFor();
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

/** The user's settings as they are on the disk. */
function settings(): Readonly<Record<string, unknown>> {
  const text = readFileSync(path.join(workbench.editor.userDirectory, 'settings.json'), 'utf8');
  return JSON.parse(text) as Readonly<Record<string, unknown>>;
}

/** The groups of models as they are on the disk. */
function groups(): unknown {
  const file = path.join(workbench.editor.userDirectory, 'chatLanguageModels.json');
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
}

function onDisk(file: string): string {
  return readFileSync(path.join(workbench.editor.workspace, file), 'utf8');
}
