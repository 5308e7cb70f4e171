import type { ToolCall } from '@hearth/protocol';
import { StopFilter } from '../../stop-filter.js';
import { TextAssembler } from '../../text-assembler.js';
import type { Detokenize } from '../../text-assembler.js';
import type { AnswerPlan } from './answer-plan.js';
import { CallScanner } from './call-scanner.js';
import { closeThinking } from './thinking.js';

/** A piece of an answer. No text is empty. */
export type AnswerPart =
  | { readonly kind: 'token'; readonly text: string }
  | { readonly kind: 'thinking'; readonly text: string }
  | { readonly kind: 'tool_call'; readonly call: ToolCall };

/** What a token has brought. */
export interface AnswerStep {
  readonly parts: readonly AnswerPart[];
  /** A stop text has come: the answer is over. */
  readonly stopped: boolean;
  /** The answer is to go on another way. */
  readonly redirect: Redirect | undefined;
}

/** The answer goes on from its first `keep` tokens and `then`, within the grammar of the request where `constrained`. */
export interface Redirect {
  readonly keep: number;
  readonly then: readonly number[];
  readonly constrained: boolean;
}

export interface AnswerReaderOptions {
  readonly plan: AnswerPlan;
  readonly stops: readonly string[];
  readonly detokenize: Detokenize;
  /** Tokens of a text in which marks have power. */
  readonly tokenize: (text: string) => readonly number[];
  /** The last tokens of the prompt. */
  readonly before: readonly number[];
  /** Names a call; each is another. */
  readonly nextId: () => string;
}

type State = 'start' | 'thinking' | 'text' | 'calls';

/** Tokens whose texts are remembered, so that a mark can be found again in them: more than the longest mark has. */
const rememberedTokens = 64;

/**
 * Reads an answer as its tokens come: text, thinking and calls apart, no half characters, no half marks, and nothing
 * behind a stop text. It also says where the answer is to be led on another way: into a grammar, or out of thinking
 * that takes too long.
 */
export class AnswerReader {
  readonly #options: AnswerReaderOptions;
  readonly #filter: StopFilter;
  #assembler: TextAssembler;
  #scanner: CallScanner | undefined;
  #state: State;
  /** Text that has not been given yet; it may be the beginning of a mark. */
  #held = '';
  /** Whether blanks are passed over until something comes. */
  #skipsBlanks: boolean;
  #tokens = 0;
  #thinkingTokens = 0;
  /** Texts of the last tokens. */
  #texts: string[] = [];

  constructor(options: AnswerReaderOptions) {
    const { plan, stops } = options;
    this.#options = options;
    this.#filter = new StopFilter(stops);
    this.#assembler = this.#newAssembler(options.before);
    this.#state = 'start';
    if (plan.thinking?.isOpen === true) this.#state = 'thinking';
    else if (plan.tools?.isOpen === true) this.#state = 'calls';
    else if (plan.thinking === undefined && plan.tools?.dialect.atStartOnly !== true) this.#state = 'text';
    this.#skipsBlanks = this.#state === 'thinking';
  }

  /** Tokens of the answer so far, those that were put into it included. */
  get tokens(): number {
    return this.#tokens;
  }

  /** @throws RequestError `tool_call_malformed`. */
  push(token: number): AnswerStep {
    this.#tokens += 1;
    if (this.#state === 'thinking') this.#thinkingTokens += 1;
    const text = this.#assembler.push(token);
    this.#texts.push(text);
    if (this.#texts.length > rememberedTokens) this.#texts.shift();
    this.#held += text;
    const parts: AnswerPart[] = [];
    const outcome = this.#read(parts);
    if (outcome === 'stopped') return { parts, stopped: true, redirect: undefined };
    return { parts, stopped: false, redirect: outcome ?? this.#endThinking(parts) };
  }

  /**
   * What is left when nothing more comes.
   *
   * @param cut Whether the answer was cut off, so that a call may be half.
   * @throws RequestError `tool_call_malformed`.
   */
  finish(cut: boolean): AnswerStep {
    this.#held += this.#assembler.finish();
    const parts: AnswerPart[] = [];
    const outcome = this.#read(parts);
    const held = this.#held;
    this.#held = '';
    if (outcome === 'stopped') return { parts, stopped: true, redirect: undefined };
    let stopped = false;
    if (this.#state === 'calls') {
      if (!cut) this.#calls().finish();
    } else if (this.#state === 'thinking') {
      this.#give(parts, 'thinking', held);
    } else {
      stopped = this.#giveText(parts, held);
      if (!stopped) this.#give(parts, 'token', this.#filter.finish());
    }
    return { parts, stopped, redirect: undefined };
  }

  /** Whether calls have been made. */
  get hasCalled(): boolean {
    return this.#state === 'calls';
  }

  #read(parts: AnswerPart[]): Redirect | 'stopped' | undefined {
    for (;;) {
      const before = this.#state;
      const outcome = this.#readState(parts);
      if (outcome !== undefined || this.#state === before) return outcome;
    }
  }

  #readState(parts: AnswerPart[]): Redirect | 'stopped' | undefined {
    switch (this.#state) {
      case 'start':
        return this.#readStart();
      case 'thinking':
        return this.#readThinking(parts);
      case 'text':
        return this.#readText(parts);
      case 'calls':
        for (const call of this.#calls().push(this.#takeHeld())) parts.push({ kind: 'tool_call', call });
        return undefined;
    }
  }

  /** The first thing of an answer that is no blank decides. */
  #readStart(): Redirect | undefined {
    const { thinking, tools } = this.#options.plan;
    const begun = this.#held.trimStart();
    const marks = [thinking?.opening, tools?.dialect.opening].filter((mark) => mark !== undefined);
    const opening = thinking?.opening;
    if (opening !== undefined && begun.startsWith(opening)) {
      this.#held = begun.slice(opening.length);
      this.#state = 'thinking';
      this.#skipsBlanks = true;
      return undefined;
    }
    if (tools?.dialect.atStartOnly === true && begun.startsWith(tools.dialect.opening)) {
      return this.#openCalls(this.#held.length - begun.length, tools.dialect.opening);
    }
    if (!marks.some((mark) => mark.startsWith(begun))) this.#state = 'text';
    return undefined;
  }

  #readThinking(parts: AnswerPart[]): Redirect | undefined {
    const closing = this.#options.plan.thinking?.closing ?? '';
    const at = this.#held.indexOf(closing);
    if (at === -1) {
      const held = heldBack(this.#held, closing);
      this.#give(parts, 'thinking', this.#takeHeld(this.#held.length - held));
      return undefined;
    }
    this.#give(parts, 'thinking', this.#held.slice(0, at).trimEnd());
    const behind = this.#held.slice(at + closing.length);
    const { constrained } = this.#options.plan;
    if (constrained?.from !== 'answer') {
      this.#held = behind;
      this.#answer();
      return undefined;
    }
    const isClean = behind.trim() === '' && constrained.lead === '';
    const redirect = isClean ? this.#goOn([], true) : this.#goBack(at, closing, constrained.lead);
    this.#answer();
    return redirect;
  }

  /** Thinking has ended. */
  #answer(): void {
    const { constrained, tools } = this.#options.plan;
    const isLed = constrained?.from === 'answer' && constrained.lead !== '';
    this.#state = isLed ? 'calls' : tools?.dialect.atStartOnly === true ? 'start' : 'text';
    this.#skipsBlanks = true;
  }

  #readText(parts: AnswerPart[]): Redirect | 'stopped' | undefined {
    const { tools } = this.#options.plan;
    const opening = tools === undefined || tools.dialect.atStartOnly ? undefined : tools.dialect.opening;
    const at = opening === undefined ? -1 : this.#held.indexOf(opening);
    if (opening === undefined || at === -1) {
      const held = opening === undefined ? 0 : heldBack(this.#held, opening);
      const stopped = this.#giveText(parts, this.#takeHeld(this.#held.length - held));
      return stopped ? 'stopped' : undefined;
    }
    if (this.#giveText(parts, this.#held.slice(0, at).trimEnd())) return 'stopped';
    this.#give(parts, 'token', this.#filter.finish());
    return this.#openCalls(at, opening);
  }

  #openCalls(at: number, opening: string): Redirect | undefined {
    this.#state = 'calls';
    if (this.#options.plan.constrained?.from === 'calls') {
      const isClean = this.#held.length === at + opening.length;
      return isClean ? this.#goOn([], true) : this.#goBack(at, opening, '');
    }
    this.#held = this.#held.slice(at + opening.length);
    return undefined;
  }

  /** Makes an end to thinking that has had its tokens. */
  #endThinking(parts: AnswerPart[]): Redirect | undefined {
    const { thinking, constrained } = this.#options.plan;
    if (this.#state !== 'thinking' || thinking?.budget === undefined) return undefined;
    if (this.#thinkingTokens < thinking.budget) return undefined;
    this.#give(parts, 'thinking', this.#held);
    const lead = constrained?.from === 'answer' ? constrained.lead : '';
    const redirect = this.#goOn(
      this.#options.tokenize(closeThinking(thinking) + lead),
      constrained?.from === 'answer',
    );
    this.#answer();
    return redirect;
  }

  /** From here on, with `then` first. */
  #goOn(then: readonly number[], constrained: boolean): Redirect {
    return this.#redirect(this.#tokens, then, constrained);
  }

  /** From the mark at `at` of the held text on, and nothing that came behind it. */
  #goBack(at: number, mark: string, lead: string): Redirect {
    // From the end to the token in which the mark begins.
    let length = this.#held.length - at;
    let count = 0;
    let reached = 0;
    while (reached < length && count < this.#texts.length) {
      count += 1;
      reached += this.#texts.at(-count)?.length ?? 0;
    }
    // What stands in that token before the mark has been given.
    length = Math.max(0, reached - length);
    const kept = this.#texts
      .slice(this.#texts.length - count)
      .join('')
      .slice(0, length);
    return this.#redirect(this.#tokens - count, this.#options.tokenize(kept + mark + lead), true);
  }

  #redirect(keep: number, then: readonly number[], constrained: boolean): Redirect {
    this.#held = '';
    this.#texts = [];
    this.#tokens = keep + then.length;
    this.#assembler = this.#newAssembler(then);
    return { keep, then, constrained };
  }

  #newAssembler(before: readonly number[]): TextAssembler {
    return new TextAssembler(this.#options.detokenize, before, this.#options.plan.visible);
  }

  #calls(): CallScanner {
    const { tools } = this.#options.plan;
    return (this.#scanner ??= new CallScanner(
      tools?.names ?? new Set(),
      this.#options.nextId,
      tools?.dialect.begun,
    ));
  }

  #takeHeld(length = this.#held.length): string {
    const taken = this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    return taken;
  }

  /** Whether a stop text has come. */
  #giveText(parts: AnswerPart[], text: string): boolean {
    const { text: safe, stopped } = this.#filter.push(this.#withoutBlanks(text));
    if (safe !== '') parts.push({ kind: 'token', text: safe });
    return stopped;
  }

  #give(parts: AnswerPart[], kind: 'token' | 'thinking', text: string): void {
    const shown = this.#withoutBlanks(text);
    if (shown !== '') parts.push({ kind, text: shown });
  }

  #withoutBlanks(text: string): string {
    if (!this.#skipsBlanks) return text;
    const shown = text.trimStart();
    if (shown !== '') this.#skipsBlanks = false;
    return shown;
  }
}

/** Blanks before a mark that are taken for a part of it, at most. */
const mostBlanks = 16;

/** Length of the longest end of `text` with which `mark` begins, and of the blanks before it. */
function heldBack(text: string, mark: string): number {
  let length = Math.min(mark.length - 1, text.length);
  while (length > 0 && !text.endsWith(mark.slice(0, length))) length -= 1;
  const before = text.slice(0, text.length - length);
  return length + Math.min(mostBlanks, before.length - before.trimEnd().length);
}
