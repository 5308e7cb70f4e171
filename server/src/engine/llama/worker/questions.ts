import type { ResolvedGeneration } from '@hearth/protocol';
import type { Driver, Embedder } from './driver.js';
import type { Question, QuestionAnswer } from './messages.js';
import { cutForCount, longestStretch, mostStretch } from './pieces.js';
import { RequestError } from './request-error.js';

/** Answers {@link Question}s, one text at a time, so that the worker hears of an abort, and of all else, between them. */
export class Questions {
  readonly #driver: Driver;
  readonly #longestText: number;
  /** Ids of those that are being answered, and whether they have been aborted. */
  readonly #open = new Map<number, { aborted: boolean }>();
  /** The end of all that came before: vectors are made one at a time. */
  #turn: Promise<unknown> = Promise.resolve();
  #started: number | undefined;

  /** @param longestText UTF-16 units of a text that may be within the context; a longer one is not looked at. */
  constructor(driver: Driver, longestText: number) {
    this.#driver = driver;
    this.#longestText = longestText;
  }

  /** How long the native call in progress has taken, in milliseconds; 0 where none is. */
  get stepMs(): number {
    return this.#started === undefined ? 0 : performance.now() - this.#started;
  }

  /** @throws RequestError */
  async ask(id: number, question: Question): Promise<QuestionAnswer> {
    const state = { aborted: false };
    this.#open.set(id, state);
    try {
      return await this.#answer(question, state);
    } finally {
      this.#open.delete(id);
    }
  }

  abort(id: number): void {
    const state = this.#open.get(id);
    if (state !== undefined) state.aborted = true;
  }

  #answer(question: Question, state: { readonly aborted: boolean }): Promise<QuestionAnswer> {
    switch (question.kind) {
      case 'tokenize':
        return this.#tokenize(question.text, state);
      case 'detokenize':
        return this.#detokenize(question.tokens);
      case 'render':
        return this.#render(question.request);
      case 'embed':
        return this.#embed(question.texts, state);
      case 'rank':
        return this.#rank(question.query, question.documents, state);
    }
  }

  async #tokenize(text: string, state: { readonly aborted: boolean }): Promise<QuestionAnswer> {
    const tokens: number[] = [];
    for (const piece of cutForCount(text)) {
      if (state.aborted) return { kind: 'aborted' };
      refuseStretch(piece);
      for (const token of this.#driver.tokenize(piece)) tokens.push(token);
      await new Promise(setImmediate);
    }
    return { kind: 'tokens', tokens };
  }

  async #detokenize(tokens: readonly number[]): Promise<QuestionAnswer> {
    return { kind: 'text', text: this.#driver.detokenize(tokens, [], 'shown') };
  }

  async #render(request: ResolvedGeneration): Promise<QuestionAnswer> {
    const { tokens, grammarText } = await this.#driver.prepare(request);
    return {
      kind: 'prompt',
      text: this.#driver.detokenize(tokens, [], 'shown'),
      tokens: tokens.length,
      ...(grammarText === undefined ? {} : { grammar: grammarText }),
    };
  }

  async #embed(texts: readonly string[], state: { readonly aborted: boolean }): Promise<QuestionAnswer> {
    const embedder = this.#requireEmbedder();
    const vectors: Float32Array[] = [];
    let count = 0;
    for (const text of texts) {
      const vector = await this.#inTurn(state, async () => {
        this.#refuseHopeless(text);
        const tokens = embedder.tokenize(text);
        count += tokens.length;
        return embedder.embed(tokens);
      });
      if (vector === undefined) return { kind: 'aborted' };
      vectors.push(vector);
    }
    return { kind: 'vectors', vectors, tokens: count };
  }

  async #rank(
    query: string,
    documents: readonly string[],
    state: { readonly aborted: boolean },
  ): Promise<QuestionAnswer> {
    const embedder = this.#requireEmbedder();
    const scores: number[] = [];
    let tokens = 0;
    for (const document of documents) {
      const made = await this.#inTurn(state, async () => {
        this.#refuseHopeless(query);
        this.#refuseHopeless(document);
        return embedder.score(query, document);
      });
      if (made === undefined) return { kind: 'aborted' };
      scores.push(made.score);
      tokens += made.tokens;
    }
    return { kind: 'scores', scores, tokens };
  }

  #requireEmbedder(): Embedder {
    const { embedder } = this.#driver;
    if (embedder !== undefined) return embedder;
    throw new RequestError('unsupported', 'This model gives no vectors and no scores.');
  }

  /** Before it costs a tokenizer anything. */
  #refuseHopeless(text: string): void {
    if (text.length > this.#longestText) {
      throw new RequestError(
        'invalid_request',
        'A text is longer than what this model reads at once. Split it.',
      );
    }
    refuseStretch(text);
  }

  /** Runs one native call when those before it have ended. Undefined: aborted meanwhile. */
  async #inTurn<Result>(
    state: { readonly aborted: boolean },
    call: () => Promise<Result>,
  ): Promise<Result | undefined> {
    const before = this.#turn;
    const mine = (async () => {
      await before.catch(() => undefined);
      if (state.aborted) return undefined;
      this.#started = performance.now();
      try {
        return await call();
      } finally {
        this.#started = undefined;
      }
    })();
    this.#turn = mine;
    return mine;
  }
}

/** A run of one kind of character takes tokenizers a time that grows with its square. */
function refuseStretch(text: string): void {
  if (longestStretch(text) <= mostStretch) return;
  throw new RequestError(
    'invalid_request',
    `A text has a run of more than ${String(mostStretch)} characters of one kind. Break it up.`,
  );
}
