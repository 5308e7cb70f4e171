import type { ChatInput, InfillFile, OutputFormat, ResolvedGeneration } from '@hearth/protocol';
import { longestStretch, mostStretch } from '../pieces.js';
import { RequestError } from '../request-error.js';
import { plainAnswer } from './answer/answer-plan.js';
import type { AnswerPlan } from './answer/answer-plan.js';
import { formatGrammar } from './answer/constrain.js';
import { ChatPrompter } from './chat-prompt.js';
import { ControlTexts, splitAtControls, textsIn } from './control-marks.js';
import {
  arrangeFiles,
  arrangeInfill,
  fitInfill,
  infillOrderKey,
  roomForFiles,
  suffixFirst,
} from '../infill.js';
import type { InfillFileTokens } from '../infill.js';
import { TemplateError } from './jinja.js';
import { tokenizeInside } from './vocabulary.js';
import type { Vocabulary } from './vocabulary.js';

/** Tokens to continue, and what ends the continuation beside the model's own end tokens. */
export interface Prompt {
  readonly tokens: readonly number[];
  readonly stopTokens: ReadonlySet<number>;
  readonly stopTexts: readonly string[];
  /** In GBNF; undefined: no constraint. From where on it holds is in {@link answer}. */
  readonly grammar: string | undefined;
  readonly answer: AnswerPlan;
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
  readonly #chat: ChatPrompter;
  #stops: Stops | undefined;

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
    this.#controls = new ControlTexts(vocabulary.controlTokens);
    this.#chat = new ChatPrompter(vocabulary, this.#controls);
  }

  /** @throws RequestError `invalid_request` where the input does not fit the model. */
  build({ input, format }: Pick<ResolvedGeneration, 'input' | 'format'>, bounds: PromptBounds): Prompt {
    switch (input.kind) {
      case 'chat':
        return checkLength(this.#buildChat(input, format, bounds), bounds);
      case 'raw':
        return checkLength({ ...this.#plain(format), ...this.#buildRaw(input.prompt, bounds) }, bounds);
      case 'infill':
        return {
          ...this.#plain(format),
          ...this.#buildInfill(input.prefix, input.suffix, input.files, bounds),
        };
    }
  }

  /** Whether the model can fill in. */
  get infill(): boolean {
    const { prefix, suffix } = this.#vocabulary.special.infill;
    return prefix !== undefined && suffix !== undefined;
  }

  /** Whether the model can think before it answers. */
  get thinking(): boolean {
    return this.#chat.thinks;
  }

  /** Tokens of `text`, in which the marks of control tokens have power: for text of ours only. */
  tokenizeMarks(text: string): readonly number[] {
    return this.#vocabulary.tokenize(text, 'power');
  }

  #plain(format: OutputFormat): Omit<Prompt, 'tokens'> {
    const grammar = formatGrammar(format);
    const constrained = grammar === undefined ? undefined : ({ from: 'start' } as const);
    return { ...noStops, grammar, answer: { ...plainAnswer, constrained } };
  }

  #buildRaw(prompt: string, bounds: PromptBounds): Pick<Prompt, 'tokens'> {
    refuseHopeless(prompt.length, bounds);
    refuseStretches([prompt]);
    const { special } = this.#vocabulary;
    const tokens = [...this.#begin(), ...this.#vocabulary.tokenize(prompt, 'text')];
    if (tokens.length > 0) return { tokens };
    const first = special.begin ?? special.end;
    if (first === undefined) throw new RequestError('invalid_request', 'The prompt is empty.');
    return { tokens: [first] };
  }

  #buildInfill(
    prefix: string,
    suffix: string,
    files: readonly InfillFile[],
    bounds: PromptBounds,
  ): Pick<Prompt, 'tokens'> {
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
    const document = {
      prefix: this.#tokenizeInside(prefix.length > reach ? prefix.slice(-reach) : prefix),
      suffix: this.#tokenizeInside(suffix.slice(0, reach)),
    };
    const length = document.prefix.length + document.suffix.length;
    const others = this.#arrangeFiles(
      files,
      reach,
      roomForFiles(length, bounds.contextSize, bounds.maxTokens),
    );
    const parts = fitInfill(document, bounds.contextSize - others.length, bounds.maxTokens);
    const arranged = arrangeInfill(parts, {
      prefix: infill.prefix,
      suffix: infill.suffix,
      middle: infill.middle,
      begin: undefined,
      first: this.#vocabulary.metadata(infillOrderKey) === suffixFirst ? 'suffix' : 'prefix',
    });
    return { tokens: [...this.#begin(), ...others, ...arranged] };
  }

  /** @throws RequestError `unsupported` where the model knows no files. */
  #arrangeFiles(files: readonly InfillFile[], reach: number, room: number): readonly number[] {
    if (files.length === 0) return [];
    const { fileSeparator, repository } = this.#vocabulary.special.infill;
    if (fileSeparator === undefined) {
      throw new RequestError(
        'unsupported',
        'This model has no token that sets files apart. Leave files out.',
      );
    }
    const tokenize = (text: string): readonly number[] => this.#tokenizeInside(text);
    function* fromTheMostRelated(): Generator<InfillFileTokens, void, void> {
      for (const { path, content } of files.toReversed()) {
        yield { path: tokenize(`${path}\n`), content: tokenize(`${content.slice(0, reach)}\n`) };
      }
    }
    return arrangeFiles(
      fromTheMostRelated(),
      {
        separator: fileSeparator,
        repository,
        repositoryName: tokenize('project\n'),
        fileName: tokenize('current\n'),
      },
      room,
    );
  }

  #tokenizeInside(text: string): readonly number[] {
    refuseStretches([text]);
    return tokenizeInside(this.#vocabulary, text);
  }

  #buildChat(input: ChatInput, format: OutputFormat, bounds: PromptBounds): Prompt {
    const texts = [...textsIn(input.messages), ...textsIn(input.tools)];
    refuseHopeless(
      texts.reduce((length, text) => length + text.length, 0),
      bounds,
    );
    refuseStretches(texts);
    try {
      const { text, mark, grammar, answer } = this.#chat.build(input, format);
      const tokens = this.#tokenizeRendered(text, mark);
      // The template may have put it there already, or the tokenizer may be asked to.
      const isBegun = tokens[0] === this.#vocabulary.special.begin;
      return {
        ...(this.#stops ??= this.#findStops()),
        tokens: isBegun ? tokens : [...this.#begin(), ...tokens],
        grammar,
        answer,
      };
    } catch (error) {
      throw error instanceof TemplateError ? explain(error) : error;
    }
  }

  #tokenizeRendered(rendered: string, mark: string): readonly number[] {
    if (!rendered.includes(mark)) return this.#vocabulary.tokenize(rendered, 'power');
    return splitAtControls(rendered, this.#controls, mark).flatMap((part) =>
      part.kind === 'token' ? [part.token] : this.#vocabulary.tokenize(part.text, 'text'),
    );
  }

  /** A model whose file does not say what ends its turns still ends them as its template does. */
  #findStops(): Stops {
    const text = this.#chat.template.afterAnswer()?.trimStart() ?? '';
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
