/** The vocabulary's tokens for fill-in-the-middle. */
export interface InfillTokens {
  readonly prefix: number;
  readonly suffix: number;
  readonly middle: number | undefined;
  readonly begin: number | undefined;
  /** Which side comes first where there is a middle token. @default 'prefix' */
  readonly first?: 'prefix' | 'suffix' | undefined;
}

/** Key of a model file, a text: in which order the model fills in best, where it was measured to. */
export const infillOrderKey = 'hearth.infill_order';
/** Value of {@link infillOrderKey}: the answer goes on where the prefix ends, behind the middle token. */
export const suffixFirst = 'suffix-prefix-middle';

/** A file of the repository, in tokens. */
export interface InfillFileTokens {
  /** Its path and a line feed. */
  readonly path: readonly number[];
  readonly content: readonly number[];
}

/** The vocabulary's tokens for files beside the one that is filled in. */
export interface FileTokens {
  readonly separator: number;
  /** Before the name of the repository. */
  readonly repository: number | undefined;
  /** The name of the repository, and that of the file that is filled in, each with a line feed. */
  readonly repositoryName: readonly number[];
  readonly fileName: readonly number[];
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
 * The prompt. With a token for the middle the order is prefix, suffix, middle; a model that says so gets prefix and
 * suffix token first, then suffix, middle token and prefix (the order "SPM" of Bavarian et al., "Efficient Training of
 * Language Models to Fill in the Middle", 2022). Without a middle token the model continues where the prompt ends, so
 * that the suffix comes first too.
 */
export function arrangeInfill(parts: InfillParts, tokens: InfillTokens): readonly number[] {
  const begin = tokens.begin === undefined ? [] : [tokens.begin];
  if (tokens.middle === undefined) {
    return [...begin, tokens.suffix, ...parts.suffix, tokens.prefix, ...parts.prefix];
  }
  if (tokens.first === 'suffix') {
    return [...begin, tokens.prefix, tokens.suffix, ...parts.suffix, tokens.middle, ...parts.prefix];
  }
  return [...begin, tokens.prefix, ...parts.prefix, tokens.suffix, ...parts.suffix, tokens.middle];
}

/** The least part of the room that the document itself may have where files would fill it. */
const documentShare = 0.5;
/** Tokens of a file below which it is left out. */
const leastFile = 32;

/** Tokens that files may take beside a document of `document` tokens. */
export function roomForFiles(document: number, contextSize: number, maxTokens: number): number {
  const room = contextSize - Math.min(maxTokens, Math.floor(contextSize * answerShare));
  return Math.max(0, Math.floor(room - Math.min(document, room * documentShare) - specialTokensOfFiles));
}

/** Repository, separators and names beside the files' own. */
const specialTokensOfFiles = 32;

/**
 * The files that fit, whole or their beginnings, in the order of a prompt: the most related next to the document.
 *
 * @param files The most related first; each is made only when there is room for it.
 */
export function arrangeFiles(
  files: Iterable<InfillFileTokens>,
  tokens: FileTokens,
  room: number,
): readonly number[] {
  const chosen: (readonly number[])[] = [];
  let left = room;
  for (const { path, content } of files) {
    const fits = left - path.length - 1;
    if (fits < Math.min(content.length, leastFile)) break;
    const file = [tokens.separator, ...path, ...content.slice(0, fits)];
    chosen.unshift(file);
    left -= file.length;
  }
  if (chosen.length === 0) return [];
  const named = tokens.repository === undefined ? [] : [tokens.repository, ...tokens.repositoryName];
  return [...named, ...chosen.flat(), tokens.separator, ...tokens.fileName];
}
