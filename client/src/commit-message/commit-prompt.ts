import type { ModelInfo } from '@hearth/protocol';
import { fenced } from '../fenced.js';
import { boundedDiff } from './commit-diff.js';

/** How a message is to look: as the model writes it, or as https://www.conventionalcommits.org/en/v1.0.0/ has it. */
export type CommitFormat = 'free' | 'conventional';

/** What is known of a commit that is to be made. */
export interface StagedChange {
  /** Unified. */
  readonly diff: string;
  /** First lines of the last commits' messages, the newest first. */
  readonly recent: readonly string[];
  /** What the author has written into the box; empty: nothing. */
  readonly hint: string;
  readonly format: CommitFormat;
}

export interface CommitRequest {
  readonly messages: { role: 'system' | 'user'; content: string }[];
  readonly max_tokens: number;
  readonly grammar?: string;
}

/** Tokens of a message, and of what the request holds beside diff and hints. */
const answerTokens = 200;
const otherTokens = 220;
/** Fewest tokens of a diff that say anything. */
const leastDiff = 64;
/** A careful guess; {@link commitRequest} is asked again with a smaller share where it was not careful enough. */
const charactersPerToken = 3;
/** Most characters of the author's own words, and of each earlier message. */
const longestHint = 500;
const longestRecent = 100;

const system =
  'You write commit messages. The first line says in the imperative what the change does, in at most 72 characters. If there is more that a reader has to know, leave a line blank and say why in short lines. Answer with the message alone.';
const conventionalSystem =
  'The message follows Conventional Commits: a type such as feat, fix, docs, refactor, test or chore, then perhaps a scope in parentheses, then a colon, a space and the description.';

/**
 * GBNF of a conventional commit's message: header of at most about a hundred characters, and a body of lines after a
 * blank one. Source: https://www.conventionalcommits.org/en/v1.0.0/, items 1 to 6 and 13.
 */
export const conventionalGrammar = [
  'root ::= type scope? "!"? ": " subject body?',
  'type ::= "build" | "chore" | "ci" | "docs" | "feat" | "fix" | "perf" | "refactor" | "revert" | "style" | "test"',
  'scope ::= "(" [a-z0-9] [a-z0-9_./-]{0,19} ")"',
  'subject ::= [a-zA-Z0-9] [^\\x00-\\x1F]{2,70}',
  'body ::= "\\n\\n" line ("\\n" line){0,7}',
  'line ::= [^\\x00-\\x1F]{1,90}',
  '',
].join('\n');

/**
 * The request for a message; undefined where the model's context has no room for any of the diff.
 *
 * @param share How much of the room for the diff is used, 0 to 1
 */
export function commitRequest(
  { diff, recent, hint, format }: StagedChange,
  { contextSize }: ModelInfo,
  share = 1,
): CommitRequest | undefined {
  const instructions = format === 'conventional' ? `${system} ${conventionalSystem}` : system;
  const notes = [
    ...(recent.length === 0
      ? []
      : [`Earlier messages here:\n${recent.map((text) => `- ${text.slice(0, longestRecent)}`).join('\n')}`]),
    ...(hint.trim() === '' ? [] : [`The author says: ${hint.trim().slice(0, longestHint)}`]),
  ];
  const noteTokens = Math.ceil(notes.join('\n').length / charactersPerToken);
  const room = Math.floor((contextSize - answerTokens - otherTokens - noteTokens) * share);
  if (room < leastDiff) return undefined;
  const content = [
    'The change:',
    fenced(boundedDiff(diff, room * charactersPerToken)),
    ...notes,
    'Write the commit message.',
  ].join('\n');
  return {
    messages: [
      { role: 'system', content: instructions },
      { role: 'user', content },
    ],
    max_tokens: answerTokens,
    ...(format === 'conventional' ? { grammar: conventionalGrammar } : {}),
  };
}

/** What of an answer is the message: without a fence or quotation marks around it, and blank lines before it. */
export function messageIn(answer: string): string {
  const lines = answer.trimStart().split('\n');
  const fence = /^(`{3,})/.exec(lines[0] ?? '')?.[1];
  if (fence !== undefined) {
    const end = lines.findIndex((line, index) => index > 0 && line.trim() === fence);
    return lines
      .slice(1, end === -1 ? undefined : end)
      .join('\n')
      .trimStart();
  }
  const text = lines.join('\n');
  return text.replace(/^"([^\n]*)"\s*$/, '$1');
}
