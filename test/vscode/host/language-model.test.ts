import * as assert from 'node:assert/strict';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import * as vscode from 'vscode';
import { createMessageConnection, StreamMessageReader, StreamMessageWriter } from 'vscode-jsonrpc/node';
import { chatModel, eventually, onePixel, readyHearth } from './support.js';

const user = (text: string): vscode.LanguageModelChatMessage => vscode.LanguageModelChatMessage.User(text);

describe("the model in VS Code's chat", () => {
  it('has the context that it really runs with', async () => {
    const hearth = await readyHearth();
    const model = await chatModel();
    const state = hearth.state();
    assert.ok(state.kind === 'ready');
    assert.equal(model.id, state.model.id);
    assert.ok(model.maxInputTokens > 0 && model.maxInputTokens < state.model.contextSize);
  });

  it('streams an answer in pieces', async () => {
    await readyHearth();
    const model = await chatModel();
    const options = { modelOptions: { max_tokens: 40, temperature: 0 } };
    const response = await model.sendRequest([user('Write a function that adds two numbers.')], options);
    const pieces = await piecesOf(response);
    assert.ok(pieces.length > 1, `${pieces.length} pieces`);
    assert.ok(pieces.join('').trim().length > 0);
  });

  it('stops the engine when a request is cancelled', async () => {
    const hearth = await readyHearth();
    const model = await chatModel();
    const cancelled = (): number =>
      hearth.rows().activity.filter(({ label }) => label === 'request cancelled').length;
    const before = cancelled();
    // A small model may end by itself before the cancellation arrives, and then the next try counts.
    for (let attempt = 0; attempt < 8 && cancelled() === before; attempt += 1) {
      await sendAndCancel(model, `Count to a million. Try ${attempt}.`);
      await eventually('nothing is being generated', () => hearth.streams().length === 0);
      await eventually('no permit is in use', () => hearth.health()?.admission.permitsInUse === 0);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    assert.ok(cancelled() > before, 'no request was cancelled in the engine');
  });

  it('counts tokens exactly as the vocabulary of the loaded model does', async () => {
    const hearth = await readyHearth();
    const model = await chatModel();
    const texts = ['hello world', 'const answer = 42;', 'ünïcödé 🔥'];
    const counts = await Promise.all(texts.map((text) => model.countTokens(text)));
    assert.deepEqual(counts, await countInDaemon(hearth.health()?.adminSocketPath ?? '', texts));
    assert.ok(counts.every((count) => count > 0));
    assert.equal(await model.countTokens(user('hello world')), counts[0]);
  });

  it('calls a tool where a call is required, with arguments that fit its schema', async () => {
    await readyHearth();
    const model = await chatModel();
    const colours = ['red', 'green'];
    const inputSchema = {
      type: 'object',
      properties: { colour: { type: 'string', enum: colours } },
      required: ['colour'],
      additionalProperties: false,
    };
    const response = await model.sendRequest([user('Choose.')], {
      tools: [{ name: 'choose', description: 'Chooses a colour.', inputSchema }],
      toolMode: vscode.LanguageModelChatToolMode.Required,
    });
    const parts: unknown[] = [];
    try {
      for await (const part of response.stream) parts.push(part);
    } catch (error) {
      assert.fail(String(error));
    }
    const calls = parts.filter((part) => part instanceof vscode.LanguageModelToolCallPart);
    assert.ok(calls.length > 0, 'no call was made');
    for (const { name, input } of calls) {
      assert.equal(name, 'choose');
      assert.ok(colours.includes(String((input as { colour?: unknown }).colour)), JSON.stringify(input));
    }
    assert.ok(parts.every((part) => !(part instanceof vscode.LanguageModelTextPart)));
  });

  it('is refused with words that say what to do where the prompt is larger than the context', async () => {
    await readyHearth();
    const model = await chatModel();
    const tools = [{ name: 'choose', description: 'Chooses.', inputSchema: { type: 'object' } }];
    const failure = await failureOf(model, [user('word '.repeat(4000))], { tools });
    assert.match(failure, /context holds \d+/);
    assert.match(failure, /1 tools are part of the prompt|switch those off/);
  });

  it('is refused with words that say what to do where there is an image and it cannot see', async () => {
    await readyHearth();
    const image = vscode.LanguageModelDataPart.image(onePixel, 'image/png');
    const text = new vscode.LanguageModelTextPart('What is this?');
    const failure = await failureOf(await chatModel(), [vscode.LanguageModelChatMessage.User([text, image])]);
    assert.match(failure, /cannot look at images. Remove the image/);
  });

  it('is refused with words that can be read where the request is wrong', async () => {
    await readyHearth();
    const model = await chatModel();
    const failure = await failureOf(model, [user('x')], { modelOptions: { temperature: -1 } });
    assert.match(failure, /temperature/);
  });
});

/** What is said of a request that fails; empty where it does not. */
async function failureOf(
  model: vscode.LanguageModelChat,
  messages: vscode.LanguageModelChatMessage[],
  options: vscode.LanguageModelChatRequestOptions = {},
): Promise<string> {
  try {
    await piecesOf(await model.sendRequest(messages, options));
    return '';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function piecesOf(response: vscode.LanguageModelChatResponse): Promise<readonly string[]> {
  const pieces: string[] = [];
  for await (const piece of response.text) pieces.push(piece);
  return pieces;
}

/** Sends a request and cancels it at its first piece. */
async function sendAndCancel(model: vscode.LanguageModelChat, text: string): Promise<void> {
  const cancellation = new vscode.CancellationTokenSource();
  const options = { modelOptions: { max_tokens: 256, temperature: 1.5 } };
  try {
    const response = await model.sendRequest([user(text)], options, cancellation.token);
    await response.text[Symbol.asyncIterator]().next();
    cancellation.cancel();
  } catch (error) {
    if (!(error instanceof vscode.CancellationError)) throw error;
  } finally {
    cancellation.dispose();
  }
}

/** Asks the daemon itself, past the extension, on its JSON-RPC socket. */
async function countInDaemon(adminSocketPath: string, texts: readonly string[]): Promise<readonly number[]> {
  const socket = connect(join(dirname(adminSocketPath), 'rpc.sock'));
  const connection = createMessageConnection(
    new StreamMessageReader(socket),
    new StreamMessageWriter(socket),
  );
  connection.listen();
  try {
    const { counts } = await connection.sendRequest<{ counts: number[] }>('hearth/countTokens', { texts });
    return counts;
  } finally {
    connection.dispose();
    socket.destroy();
  }
}
