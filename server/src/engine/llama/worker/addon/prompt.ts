import type { GenerationInput, Message } from '@hearth/protocol';
import { SpecialToken, SpecialTokensText, resolveChatWrapper } from 'node-llama-cpp';
import type { ChatHistoryItem, ChatWrapper, LlamaModel, LlamaText, Token } from 'node-llama-cpp';
import { arrangeInfill, fitInfill } from '../infill.js';
import { longestStretch, mostStretch } from '../pieces.js';
import { RequestError } from '../request-error.js';

/** Tokens to continue, and what ends the continuation beside the model's own end tokens. */
export interface Prompt {
  readonly tokens: readonly Token[];
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
 * Turns inputs into tokens for one model. What a client wrote is always text: marks of special tokens in it have no
 * power.
 */
export class PromptBuilder {
  readonly #model: LlamaModel;
  #chatWrapper: ChatWrapper | undefined;

  constructor(model: LlamaModel) {
    this.#model = model;
  }

  /** @throws RequestError `invalid_request` where the input does not fit the model. */
  build(input: GenerationInput, bounds: PromptBounds): Prompt {
    switch (input.kind) {
      case 'chat':
        return checkLength(this.#chat(input.messages, bounds), bounds);
      case 'raw':
        return checkLength(this.#raw(input.prompt, bounds), bounds);
      case 'infill':
        return this.#infill(input.prefix, input.suffix, bounds);
    }
  }

  get infill(): boolean {
    const { prefix, suffix } = this.#model.tokens.infill;
    return prefix !== null && suffix !== null;
  }

  #raw(prompt: string, bounds: PromptBounds): Prompt {
    refuseHopeless(prompt.length, bounds);
    refuseStretches([prompt]);
    const { tokens } = this.#model;
    const begin = tokens.shouldPrependBosToken && tokens.bos !== null ? [tokens.bos] : [];
    const all = [...begin, ...this.#model.tokenize(prompt, false)];
    const first = tokens.bos ?? tokens.eos;
    if (all.length === 0 && first === null) throw new RequestError('invalid_request', 'The prompt is empty.');
    return { ...noStops, tokens: all.length === 0 && first !== null ? [first] : all };
  }

  #infill(prefix: string, suffix: string, bounds: PromptBounds): Prompt {
    const { tokens } = this.#model;
    const { infill } = tokens;
    if (infill.prefix === null || infill.suffix === null) {
      throw new RequestError(
        'invalid_request',
        'This model has no fill-in-the-middle tokens. Leave suffix out.',
      );
    }
    // No more of a long document than can fit is worth turning into tokens.
    const reach = bounds.longestTokenBytes === 0 ? Infinity : bounds.contextSize * bounds.longestTokenBytes;
    const tokenize = (text: string): readonly Token[] => {
      refuseStretches([text]);
      return this.#model.tokenize(text, false, 'trimLeadingSpace');
    };
    const parts = fitInfill(
      {
        prefix: tokenize(prefix.length > reach ? prefix.slice(-reach) : prefix),
        suffix: tokenize(suffix.slice(0, reach)),
      },
      bounds.contextSize,
      bounds.maxTokens,
    );
    const begin = tokens.shouldPrependBosToken ? (tokens.bos ?? undefined) : undefined;
    const arranged = arrangeInfill(parts, {
      prefix: infill.prefix,
      suffix: infill.suffix,
      middle: infill.middle ?? undefined,
      begin,
    });
    return { ...noStops, tokens: arranged.map(asToken) };
  }

  #chat(messages: readonly Message[], bounds: PromptBounds): Prompt {
    refuseHopeless(
      messages.reduce((length, { content }) => length + content.length, 0),
      bounds,
    );
    refuseStretches(messages.map(({ content }) => content));
    // The open answer at the end is where the model is to go on.
    const chatHistory: readonly ChatHistoryItem[] = [
      ...messages.map(toHistoryItem),
      { type: 'model', response: [] },
    ];
    const state = this.#render(chatHistory);
    const tokens = state.contextText.tokenize(this.#model.tokenizer);
    const stops = this.#stops(state.stopGenerationTriggers);
    return { ...stops, tokens: this.#withWantedBegin(tokens) };
  }

  #render(chatHistory: readonly ChatHistoryItem[]): {
    contextText: LlamaText;
    stopGenerationTriggers: LlamaText[];
  } {
    try {
      this.#chatWrapper ??= resolveChatWrapper(this.#model, { warningLogs: false });
      return this.#chatWrapper.generateContextState({ chatHistory });
    } catch (error) {
      throw new RequestError(
        'invalid_request',
        "The model's chat template refuses this conversation. Some want user and assistant to take turns, or no system message.",
        { cause: error },
      );
    }
  }

  /** Chat wrappers begin with the begin token always; a vocabulary that asks for none was trained without. */
  #withWantedBegin(tokens: readonly Token[]): readonly Token[] {
    const { bos, shouldPrependBosToken } = this.#model.tokens;
    const template = this.#model.fileInfo.metadata.tokenizer.chat_template ?? '';
    if (shouldPrependBosToken || template.includes('bos_token') || tokens[0] !== bos || tokens.length < 2)
      return tokens;
    return tokens.slice(1);
  }

  #stops(triggers: readonly LlamaText[]): Pick<Prompt, 'stopTokens' | 'stopTexts'> {
    const stopTokens = new Set<number>();
    const stopTexts: string[] = [];
    for (const trigger of triggers) {
      const special = trigger.values.some(
        (value) => value instanceof SpecialToken || value instanceof SpecialTokensText,
      );
      const tokens = special ? trigger.tokenize(this.#model.tokenizer) : [];
      const [only] = tokens;
      if (tokens.length === 1 && only !== undefined) stopTokens.add(only);
      else if (!special) stopTexts.push(trigger.values.filter((value) => typeof value === 'string').join(''));
    }
    return { stopTokens, stopTexts };
  }
}

const noStops = { stopTokens: new Set<number>(), stopTexts: [] };

function toHistoryItem({ role, content }: Message): ChatHistoryItem {
  switch (role) {
    case 'system':
      return { type: 'system', text: content };
    case 'user':
      return { type: 'user', text: content };
    case 'assistant':
      return { type: 'model', response: [content] };
  }
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

/** node-llama-cpp brands its token ids; ours came from it. */
function asToken(token: number): Token {
  return token as Token;
}
