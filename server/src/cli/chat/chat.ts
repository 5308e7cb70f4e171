import { writeFile } from 'node:fs/promises';
import { createInterface, type Interface } from 'node:readline';
import { type GenerateRequestInput, type HearthClient, toHearthError } from '@hearth/protocol';
import { type ExitCode, exitCodes } from '../exit-codes.js';
import { onInterrupt } from '../signals.js';
import { type ClientFlags, sayWhatItIs, withClient, write } from '../with-client.js';
import { chatHelp, LineJoiner, readChatInput } from './chat-input.js';
import { type Conversation, messagesOf, said } from './conversation.js';

export interface ChatFlags extends ClientFlags {
  readonly system?: string;
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly seed?: number;
}

/**
 * `hearth chat`: a conversation, turn by turn. On a terminal Ctrl-C stops an answer and not the program; in a pipe each
 * line is a turn, and the end of the input is the end.
 */
export async function chatCommand(flags: ChatFlags): Promise<ExitCode> {
  const interrupted = onInterrupt();
  return withClient(flags, interrupted, async ({ client, paths, model }) => {
    await sayWhatItIs(paths);
    await new Chat(client, flags, model, interrupted).hold();
    return interrupted.aborted ? exitCodes.interrupted : exitCodes.ok;
  });
}

class Chat {
  readonly #client: HearthClient;
  readonly #flags: ChatFlags;
  readonly #model: string | undefined;
  readonly #interrupted: AbortSignal;
  readonly #lines: Interface;
  readonly #joiner = new LineJoiner();
  readonly #isTerminal = process.stdin.isTTY && process.stdout.isTTY;
  #conversation: Conversation;
  /** Stops the answer in progress. */
  #answer: AbortController | undefined;

  constructor(client: HearthClient, flags: ChatFlags, model: string | undefined, interrupted: AbortSignal) {
    this.#client = client;
    this.#flags = flags;
    this.#model = model;
    this.#interrupted = interrupted;
    this.#conversation = { system: flags.system ?? '', turns: [] };
    this.#lines = createInterface({
      input: process.stdin,
      ...(this.#isTerminal ? { output: process.stdout, historySize: 200 } : {}),
      terminal: this.#isTerminal,
      crlfDelay: Infinity,
    });
  }

  async hold(): Promise<void> {
    const close = (): void => this.#lines.close();
    this.#interrupted.addEventListener('abort', close, { once: true });
    this.#lines.on('SIGINT', () => this.#stop());
    if (this.#isTerminal) this.#note('/help says what you can do, Ctrl-D ends.');
    this.#ask();
    for await (const line of this.#lines) {
      const text = this.#joiner.push(line);
      if (text !== undefined && !(await this.#take(text))) break;
      this.#ask();
    }
    this.#lines.close();
    if (this.#isTerminal) await write('\n');
  }

  /** Ctrl-C: stops the answer; where there is none, drops what was typed. */
  #stop(): void {
    if (this.#answer !== undefined) {
      this.#answer.abort();
      return;
    }
    this.#joiner.take();
    const isEmpty = this.#lines.line === '';
    this.#lines.write(null, { ctrl: true, name: 'e' });
    this.#lines.write(null, { ctrl: true, name: 'u' });
    if (isEmpty) this.#note('Ctrl-D or /bye ends the conversation.');
    this.#ask();
  }

  #ask(): void {
    if (!this.#isTerminal) return;
    this.#lines.setPrompt(this.#joiner.isOpen ? '… ' : '> ');
    this.#lines.prompt();
  }

  /** False: it is over. */
  async #take(text: string): Promise<boolean> {
    const input = readChatInput(text);
    switch (input.kind) {
      case 'nothing':
        return true;
      case 'leave':
        return false;
      case 'help':
        this.#note(chatHelp);
        return true;
      case 'clear':
        this.#conversation = { ...this.#conversation, turns: [] };
        this.#note('Forgotten.');
        return true;
      case 'system':
        this.#setSystem(input.text);
        return true;
      case 'save':
        await this.#save(input.file);
        return true;
      case 'unknown':
        this.#note(`There is no /${input.command}. /help lists what there is.`);
        return true;
      case 'say':
        await this.#say(input.text);
        return !this.#interrupted.aborted;
    }
  }

  #setSystem(text: string | undefined): void {
    if (text !== undefined) this.#conversation = { ...this.#conversation, system: text };
    const { system } = this.#conversation;
    this.#note(system === '' ? 'The model is told nothing beforehand.' : `The model is told: ${system}`);
  }

  async #save(file: string): Promise<void> {
    try {
      const text = `${JSON.stringify(messagesOf(this.#conversation), undefined, 2)}\n`;
      await writeFile(file, text, { flag: 'wx', mode: 0o600 });
      this.#note(`Saved to ${file}.`);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      this.#note(
        code === 'EEXIST'
          ? `${file} is there already; name another file.`
          : `It could not be saved: ${String(code)}.`,
      );
    }
  }

  async #say(text: string): Promise<void> {
    const asked = said(this.#conversation, 'user', text);
    this.#answer = new AbortController();
    const signal = AbortSignal.any([this.#answer.signal, this.#interrupted]);
    let answer = '';
    try {
      for await (const frame of this.#client.frames(this.#requestFor(asked), { signal })) {
        if (frame.type === 'token') {
          answer += frame.content;
          await write(frame.content);
        } else if (frame.type === 'thinking' && this.#isTerminal) {
          await write(`\u001b[2m${frame.content}\u001b[22m`);
        } else if (frame.type === 'error') {
          this.#note(`${frame.code}: ${frame.message}${this.#hint(frame.code)}`);
          return;
        } else if (frame.type === 'done') {
          if (!answer.endsWith('\n')) await write('\n');
          if (frame.stop_reason === 'length')
            this.#note('It was cut off; say "go on", or raise --max-tokens.');
        }
      }
    } catch (error) {
      if (!signal.aborted) {
        this.#note(`${toHearthError(error).message} Say it again.`);
        return;
      }
      await write('\n');
      if (!this.#interrupted.aborted) this.#note('Stopped.');
    } finally {
      this.#answer = undefined;
    }
    // What was said before a stop was said.
    this.#conversation = answer === '' ? this.#conversation : said(asked, 'assistant', answer);
  }

  #hint(code: string): string {
    return code === 'invalid_request' && this.#conversation.turns.length > 0
      ? ' If the conversation has grown too long, /clear forgets it.'
      : '';
  }

  #requestFor(conversation: Conversation): GenerateRequestInput {
    const { maxTokens, temperature, seed } = this.#flags;
    return {
      messages: messagesOf(conversation),
      events: true,
      resume: true,
      ...(this.#model === undefined ? {} : { model: this.#model }),
      ...(maxTokens === undefined ? {} : { max_tokens: maxTokens }),
      ...(temperature === undefined ? {} : { temperature }),
      ...(seed === undefined ? {} : { seed }),
    };
  }

  /** What is not the answer goes to standard error. */
  #note(text: string): void {
    process.stderr.write(this.#isTerminal ? `\u001b[2m${text}\u001b[22m\n` : `hearth: ${text}\n`);
  }
}
