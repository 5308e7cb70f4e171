import type { GenerateRequest } from '@hearth/protocol';
import type { Ability } from './ability.js';
import type { RelatedFile } from './related/related-files.js';
import type { Shape } from './shape.js';
import type { Window } from './window.js';

/** Most tokens of a suggestion of one line, and of one that fills a block. */
const lineTokens = 48;
const blockTokens = 128;
/** An answer that comes later than this is of no use to anybody, in milliseconds. */
const deadlineMs = 10_000;

/** Most tokens that a suggestion of this shape asks for. */
export function answerTokens(shape: Shape): number {
  return shape.kind === 'line' ? lineTokens : blockTokens;
}

/**
 * The request for the text at a cursor.
 *
 * @param asFiles whether the engine takes other files as such, in the model's own format; otherwise they go before the
 *   text as comments
 * @param variant 0: the likeliest text; others: alternatives, each with a seed of its own
 */
export function promptFor(
  ability: Exclude<Ability, { kind: 'none' }>,
  window: Window,
  related: readonly RelatedFile[],
  asFiles: boolean,
  language: string,
  shape: Shape,
  variant: number,
): GenerateRequest {
  const infill = ability.kind === 'infill';
  const asText = !infill || !asFiles;
  const stop = shape.kind === 'line' ? ['\n'] : ['\n\n\n'];
  return {
    id: '',
    model: ability.model.id,
    prompt: (asText ? preamble(related, language) : '') + window.before,
    ...(infill ? { suffix: window.after } : {}),
    ...(asText || related.length === 0
      ? {}
      : { files: related.map(({ path, text }) => ({ path, content: text })) }),
    max_tokens: answerTokens(shape),
    ...(variant === 0 ? { temperature: 0 } : { temperature: 0.7, seed: variant }),
    stop,
    // The token itself, without any in its place: how sure the model was of it.
    ...(ability.model.confidence === undefined ? {} : { logprobs: 0 }),
    deadline_ms: deadlineMs,
  };
}

/** Other files as comments of the language, which every model of code has seen. */
function preamble(related: readonly RelatedFile[], language: string): string {
  const mark = commentOf(language);
  return related
    .map(({ path, text }) => {
      const lines = text.split('\n').map((line) => (line === '' ? mark : `${mark} ${line}`));
      return `${mark} File: ${path}\n${lines.join('\n')}\n\n`;
    })
    .join('');
}

function commentOf(language: string): string {
  if (hash.has(language)) return '#';
  if (dashes.has(language)) return '--';
  if (semicolon.has(language)) return ';;';
  return language === 'latex' || language === 'erlang' ? '%' : '//';
}

const hash = new Set([
  ...['python', 'ruby', 'shellscript', 'sh', 'bash', 'zsh', 'fish', 'perl', 'r', 'julia', 'elixir', 'nix'],
  ...['yaml', 'toml', 'dockerfile', 'makefile', 'make', 'cmake', 'properties', 'powershell', 'tcl'],
]);
const dashes = new Set(['lua', 'sql', 'haskell', 'elm', 'ada', 'vhdl']);
const semicolon = new Set(['clojure', 'lisp', 'elisp', 'emacs-lisp', 'scheme', 'racket']);
