import type { GenerationInput, ChatMessage } from '@hearth/protocol';
import { arrangeInfill, fitInfill } from '../infill.js';
import { longestStretch, mostStretch } from '../pieces.js';
import { RequestError } from '../request-error.js';
import { ChatTemplate, chatMl } from './chat-template.js';
import type { Conversation, TemplateMessage } from './chat-template.js';
import { ControlTexts, chooseMark, splitAtControls, textsIn } from './control-marks.js';
import { TemplateError } from './jinja.js';
import { controlText, tokenizeInside } from './vocabulary.js';
import type { Vocabulary } from './vocabulary.js';

/** Tokens to continue, and what ends the continuation beside the model's own end tokens. */
export interface Prompt {
  readonly tokens: readonly number[];
  readonly stopTokens: ReadonlySet<number>;
  readonly stopTexts: readonly string[];
}

/** Figures that bound a prompt. */
export interface PromptBounds {
  readonly contextSize: number;
  readonly maxTokens: number;
  /** No token stands for more bytes of text; 0: not known. */
  readonly longestTokenBytes: number;
}

/**
 * Turns inputs into tokens for one model. What a client wrote is always text: marks of control tokens in it have no
 * power.
 */
export class PromptBuilder {
  readonly #vocabulary: Vocabulary;
  readonly #controls: ControlTexts;
  #chat: { readonly template: ChatTemplate; readonly stops: Stops } | undefined;

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
    this.#controls = new ControlTexts(vocabulary.controlTokens);
  }

  /** @throws RequestError `invalid_request` where the input does not fit the model. */
  build(input: GenerationInput, bounds: PromptBounds): Prompt {
    switch (input.kind) {
      case 'chat':
        return checkLength(this.#buildChat(input.messages, bounds), bounds);
      case 'raw':
        return checkLength(this.#buildRaw(input.prompt, bounds), bounds);
      case 'infill':
        return this.#buildInfill(input.prefix, input.suffix, bounds);
    }
  }

  /** Whether the model can fill in. */
  get infill(): boolean {
    const { prefix, suffix } = this.#vocabulary.special.infill;
    return prefix !== undefined && suffix !== undefined;
  }

  #buildRaw(prompt: string, bounds: PromptBounds): Prompt {
    refuseHopeless(prompt.length, bounds);
    refuseStretches([prompt]);
    const { special } = this.#vocabulary;
    const tokens = [...this.#begin(), ...this.#vocabulary.tokenize(prompt, 'text')];
    if (tokens.length > 0) return { ...noStops, tokens };
    const first = special.begin ?? special.end;
    if (first === undefined) throw new RequestError('invalid_request', 'The prompt is empty.');
    return { ...noStops, tokens: [first] };
  }

  #buildInfill(prefix: string, suffix: string, bounds: PromptBounds): Prompt {
    const { special } = this.#vocabulary;
    const { infill } = special;
    if (infill.prefix === undefined || infill.suffix === undefined) {
      throw new RequestError(
        'invalid_request',
        'This model has no fill-in-the-middle tokens. Leave suffix out.',
      );
    }
    // No more of a long document than can fit is worth turning into tokens.
    const reach = bounds.longestTokenBytes === 0 ? Infinity : bounds.contextSize * bounds.longestTokenBytes;
    const tokenize = (text: string): readonly number[] => {
      refuseStretches([text]);
      return tokenizeInside(this.#vocabulary, text);
    };
    const parts = fitInfill(
      {
        prefix: tokenize(prefix.length > reach ? prefix.slice(-reach) : prefix),
        suffix: tokenize(suffix.slice(0, reach)),
      },
      bounds.contextSize,
      bounds.maxTokens,
    );
    const tokens = arrangeInfill(parts, {
      prefix: infill.prefix,
      suffix: infill.suffix,
      middle: infill.middle,
      begin: special.addBegin ? special.begin : undefined,
    });
    return { ...noStops, tokens };
  }

  #buildChat(turns: readonly ChatMessage[], bounds: PromptBounds): Prompt {
    const messages = turns.map(toTemplateMessage);
    const texts = [...textsIn(messages)];
    refuseHopeless(
      texts.reduce((length, text) => length + text.length, 0),
      bounds,
    );
    refuseStretches(texts);
    try {
      const { template, stops } = (this.#chat ??= this.#loadTemplate());
      return { ...stops, tokens: this.#tokenizeChat(template, { messages }, texts) };
    } catch (error) {
      throw error instanceof TemplateError ? explain(error) : error;
    }
  }

  #tokenizeChat(
    template: ChatTemplate,
    { messages }: Conversation,
    texts: readonly string[],
  ): readonly number[] {
    const mark = chooseMark(texts);
    if (mark === undefined) {
      throw new RequestError(
        'invalid_request',
        'The messages hold every character that stands for nothing. Leave some of them out.',
      );
    }
    const rendered = template.render({
      messages: messages.map(({ role, content }) => ({ role, content: this.#controls.quote(content, mark) })),
    });
    const tokens = this.#tokenizeRendered(rendered, mark);
    const { begin } = this.#vocabulary.special;
    // The template may have put it there already, or the tokenizer may be asked to.
    const isBegun = tokens[0] === begin;
    return isBegun ? tokens : [...this.#begin(), ...tokens];
  }

  #tokenizeRendered(rendered: string, mark: string): readonly number[] {
    if (!rendered.includes(mark)) return this.#vocabulary.tokenize(rendered, 'power');
    return splitAtControls(rendered, this.#controls, mark).flatMap((part) =>
      part.kind === 'token' ? [part.token] : this.#vocabulary.tokenize(part.text, 'text'),
    );
  }

  #loadTemplate(): { template: ChatTemplate; stops: Stops } {
    const { special } = this.#vocabulary;
    const source = this.#vocabulary.metadata('tokenizer.chat_template') ?? chatMl;
    const template = new ChatTemplate(source, {
      begin: controlText(this.#vocabulary, special.begin) ?? '',
      end: controlText(this.#vocabulary, special.end) ?? '',
    });
    return { template, stops: this.#findStops(template) };
  }

  /** A model whose file does not say what ends its turns still ends them as its template does. */
  #findStops(template: ChatTemplate): Stops {
    const after = template.afterAnswer();
    const text = after?.trimStart() ?? '';
    if (text === '') return noStops;
    const first = this.#controls.at(text, 0);
    if (first !== undefined) return { ...noStops, stopTokens: new Set([first.token]) };
    // Without a token for it, the model writes what stands there.
    const line = text.split('\n', 1)[0]?.trimEnd() ?? '';
    return line.length < 2 ? noStops : { ...noStops, stopTexts: [line] };
  }

  #begin(): readonly number[] {
    const { addBegin, begin } = this.#vocabulary.special;
    return addBegin && begin !== undefined ? [begin] : [];
  }
}

type Stops = Pick<Prompt, 'stopTokens' | 'stopTexts'>;

const noStops: Stops = { stopTokens: new Set<number>(), stopTexts: [] };

function explain(error: TemplateError): RequestError {
  const why = error.kind === 'refused' && error.message !== '' ? ` It says: ${error.message}` : '';
  const what =
    error.kind === 'unreadable'
      ? "This model's chat template cannot be read. Use prompt in place of messages, or another model."
      : `The model's chat template refuses this conversation. Some want user and assistant to take turns, or no system message.${why}`;
  return new RequestError('invalid_request', what, { cause: error });
}

/** Refuses what cannot fit without turning megabytes of it into tokens first. */
function refuseHopeless(characters: number, { contextSize, longestTokenBytes }: PromptBounds): void {
  if (longestTokenBytes === 0 || characters <= contextSize * longestTokenBytes) return;
  throw tooLong(`more than ${contextSize}`, contextSize);
}

/** Refuses what would keep the tokenizer busy for seconds: its time grows with the square of a stretch. */
function refuseStretches(texts: readonly string[]): void {
  if (texts.every((text) => longestStretch(text) <= mostStretch)) return;
  throw new RequestError(
    'invalid_request',
    `The prompt has more than ${mostStretch} characters of one kind in a row, such as blanks. Shorten it there.`,
  );
}

function checkLength(prompt: Prompt, { contextSize }: PromptBounds): Prompt {
  if (prompt.tokens.length < contextSize) return prompt;
  throw tooLong(String(prompt.tokens.length), contextSize);
}

function tooLong(tokens: string, contextSize: number): RequestError {
  return new RequestError(
    'invalid_request',
    `The prompt has ${tokens} tokens; this model's context holds ${contextSize}, prompt and answer together. Shorten the prompt.`,
  );
}

/** A turn as templates know it: plain text. */
function toTemplateMessage({ role, content }: ChatMessage): TemplateMessage {
  return { role, content: content.map((block) => ('text' in block ? block.text : '')).join('') };
}
