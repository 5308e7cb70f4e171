/**
 * What building a prompt needs of a model's vocabulary. Each driver implements it; everything in this folder is the
 * same for all of them.
 */
export interface Vocabulary {
  readonly special: SpecialTokens;
  /**
   * Control tokens by their text, such as `<|im_end|>`: what {@link tokenize} makes tokens of only where it is told to.
   */
  readonly controlTokens: ReadonlyMap<string, number>;
  /** A text of the model file by its full key, such as `tokenizer.chat_template`; undefined: absent or no text. */
  metadata(key: string): string | undefined;
  /**
   * Tokens of `text`, without a begin or end token. A vocabulary that puts a blank before each text does so here.
   *
   * @param marks `power`: texts of control tokens become these tokens; `text`: they have no power.
   */
  tokenize(text: string, marks: 'power' | 'text'): readonly number[];
}

/** Tokens with a meaning to the model. Undefined: the vocabulary has none. */
export interface SpecialTokens {
  readonly begin: number | undefined;
  readonly end: number | undefined;
  readonly endOfTurn: number | undefined;
  /** Whether the model was trained with the begin token before each text. */
  readonly addBegin: boolean;
  readonly infill: InfillVocabulary;
}

/** Tokens for fill-in-the-middle. */
export interface InfillVocabulary {
  readonly prefix: number | undefined;
  readonly suffix: number | undefined;
  readonly middle: number | undefined;
  /** Between the name of the repository and its files. */
  readonly repository: number | undefined;
  /** Before each file of a repository. */
  readonly fileSeparator: number | undefined;
}

/** Text of a control token, for templates that ask for it. */
export function controlText(vocabulary: Vocabulary, token: number | undefined): string | undefined {
  if (token === undefined) return undefined;
  for (const [text, id] of vocabulary.controlTokens) if (id === token) return text;
  return undefined;
}

/**
 * Tokens of a text that goes on from another one: without the blank that some vocabularies put before each text.
 * A line feed before it takes the blank, and goes with it.
 */
export function tokenizeInside(vocabulary: Vocabulary, text: string): readonly number[] {
  const whole = vocabulary.tokenize(text, 'text');
  if (text === '') return whole;
  const lineFeed = vocabulary.tokenize('\n', 'text');
  const behind = vocabulary.tokenize(`\n${text}`, 'text');
  // Where the line feed has become one token with what follows, the text is taken as it is.
  const apart = behind.length > lineFeed.length && lineFeed.every((token, index) => behind[index] === token);
  return apart ? behind.slice(lineFeed.length) : whole;
}
