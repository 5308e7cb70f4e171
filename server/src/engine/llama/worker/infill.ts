/** The vocabulary's tokens for fill-in-the-middle. */
export interface InfillTokens {
  readonly prefix: number;
  readonly suffix: number;
  readonly middle: number | undefined;
  readonly begin: number | undefined;
}

/** What of a document is shown to the model, in tokens. */
export interface InfillParts {
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
}

/** The least part of the room that the prefix may have where both sides are long. */
const prefixShare = 0.75;
/** The most of the context that is kept free for the answer. */
const answerShare = 0.25;

/**
 * Cuts prefix and suffix so that prompt and answer fit the context: the prefix keeps its end, the suffix its
 * beginning, both next to the cursor. What one side does not need the other may have.
 */
export function fitInfill(parts: InfillParts, contextSize: number, maxTokens: number): InfillParts {
  const specialTokens = 4;
  const answer = Math.min(maxTokens, Math.floor(contextSize * answerShare));
  const room = Math.max(1, contextSize - specialTokens - answer);
  const suffixRoom = Math.max(room - parts.prefix.length, Math.floor(room * (1 - prefixShare)));
  const suffix = parts.suffix.slice(0, suffixRoom);
  const prefixRoom = room - suffix.length;
  return { prefix: parts.prefix.slice(-prefixRoom), suffix };
}

/**
 * The prompt. With a token for the middle the order is prefix, suffix, middle. Without one the model continues
 * where the prompt ends, so the suffix comes first.
 */
export function arrangeInfill(parts: InfillParts, tokens: InfillTokens): readonly number[] {
  const begin = tokens.begin === undefined ? [] : [tokens.begin];
  if (tokens.middle === undefined) {
    return [...begin, tokens.suffix, ...parts.suffix, tokens.prefix, ...parts.prefix];
  }
  return [...begin, tokens.prefix, ...parts.prefix, tokens.suffix, ...parts.suffix, tokens.middle];
}
