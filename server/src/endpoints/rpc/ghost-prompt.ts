import type { GenerateRequest, ModelInfo } from '@hearth/protocol';

/** Where ghost text is asked for: the text on both sides of the cursor. */
export interface CursorContext {
  readonly before: string;
  readonly after: string;
}

/** One piece of ghost text asks for at most this many tokens. */
export const ghostTokens = 48;
/** Ghost text spans at most this many lines where nothing follows the cursor. */
export const ghostLines = 6;

/** A careful guess for code; the engine counts exactly and trims what still does not fit. */
const charactersPerToken = 3;
/** More context than this costs prefill time that a keystroke does not have. */
const mostCharacters = 12_000;
const prefixShare = 0.75;

/**
 * The request for ghost text at a cursor, or undefined where there is nothing to go on. Both sides are cut to
 * the model's context: three quarters for what comes before, one quarter for what follows, nearest text kept.
 * A model without fill-in-the-middle tokens continues the prefix alone.
 */
export function ghostRequest(
  { before, after }: CursorContext,
  model: ModelInfo,
): GenerateRequest | undefined {
  if (before.trim() === '' && after.trim() === '') return undefined;
  const budget = characterBudget(model.contextSize);
  const prefixBudget = model.infill ? Math.floor(budget * prefixShare) : budget;
  const prompt = tail(before, prefixBudget);
  return {
    id: '',
    model: model.id,
    prompt,
    ...(model.infill ? { suffix: head(after, budget - prefixBudget) } : {}),
    max_tokens: ghostTokens,
    temperature: 0,
    stop: restOfLine(after).trim() === '' ? ['\n\n', '\r\n\r\n'] : ['\n'],
  };
}

/** What follows the cursor on its own line. */
export function restOfLine(after: string): string {
  const end = after.search(/[\r\n]/);
  return end === -1 ? after : after.slice(0, end);
}

function characterBudget(contextSize: number): number {
  const tokens = Math.max(0, contextSize - ghostTokens - 16);
  return Math.min(mostCharacters, tokens * charactersPerToken);
}

/** The last `length` units of `text`, begun at a line border where one is near, never inside a character. */
function tail(text: string, length: number): string {
  if (text.length <= length) return text;
  const cut = wholeCharacter(text, text.length - length);
  const border = text.indexOf('\n', cut);
  return border !== -1 && border - cut < length / 4 ? text.slice(border + 1) : text.slice(cut);
}

/** The first `length` units of `text`, never ending inside a character. */
function head(text: string, length: number): string {
  if (text.length <= length) return text;
  const cut = wholeCharacter(text, length);
  return text.slice(0, cut > length ? cut - 2 : cut);
}

/** `index`, or the next one where it would part a surrogate pair. */
function wholeCharacter(text: string, index: number): number {
  const unit = text.charCodeAt(index);
  return unit >= 0xdc00 && unit <= 0xdfff ? index + 1 : index;
}
