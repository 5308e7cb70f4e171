import type { ghostTextReasons } from '@hearth/protocol';
import { type GhostTextOutcome, type GhostTextReason, type GhostTextRule } from '@hearth/protocol';

/** What a reason means for a person: in a few words, and in a sentence that says what can be done. */
export interface ReasonWords {
  readonly short: string;
  readonly long: string;
}

const words: Record<(typeof ghostTextReasons)[number], ReasonWords> = {
  switched_off: {
    short: 'switched off for this language',
    long: 'The setting hearth.inlineCompletions.enabled is off for this language or everywhere.',
  },
  paused: { short: 'paused', long: 'Ghost text is paused in this window until you resume it.' },
  snoozed: { short: 'snoozed', long: 'Ghost text is snoozed in this window. It comes back by itself.' },
  not_running: {
    short: 'Hearth is not ready',
    long: 'The sidecar is starting, restarting or stopped. The status bar says which.',
  },
  document_too_large: {
    short: 'document too long',
    long: 'The document is longer than 8 million characters, so that Hearth does not follow it.',
  },
  unknown_document: {
    short: 'document not known',
    long: 'The editor has not opened this document for Hearth, or too many are open. Open it again.',
  },
  binary_document: { short: 'not a text', long: 'There are zero bytes near the cursor: this is no text.' },
  inside_character: {
    short: 'cursor inside a character',
    long: 'The cursor stands between the two halves of one character.',
  },
  inside_word: {
    short: 'cursor inside a word',
    long: 'Letters follow the cursor at once. Ask for it with “Trigger Inline Suggestion”.',
  },
  block_end: {
    short: 'right before a closing bracket',
    long: 'What follows the cursor on its line closes a block. Begin a line above it, or ask with “Trigger Inline Suggestion”.',
  },
  selection_conflict: {
    short: 'suggestion list elsewhere',
    long: 'The selected entry of the suggestion list does not end at the cursor.',
  },
  nothing_to_go_on: { short: 'nothing to go on', long: 'There is no text before or after the cursor.' },
  loading: {
    short: 'model is loading',
    long: 'The model is being loaded. The status bar says when it is ready.',
  },
  no_infill: {
    short: 'model cannot fill in',
    long: 'This model has no fill-in-the-middle tokens and was tuned to converse: it would answer with prose. “Hearth: Use the Best Model for This Machine” takes one that fills in.',
  },
  typing: { short: 'still typing', long: 'The next key came before a suggestion could.' },
  filtered: {
    short: 'nothing worth showing',
    long: 'The model answered, and nothing worth showing was left.',
  },
  not_sure: {
    short: 'not sure enough',
    long: 'The model had an answer, but was less sure of it than what it says must be to be right more often than not.',
  },
  empty_answer: { short: 'the model had nothing to say', long: 'The model ended at once, without any text.' },
};

/** What the rule took away that left nothing. */
const ruleWords: Record<GhostTextRule, string> = {
  fences: 'it was a code fence',
  lines: 'its first line was blank',
  scope: 'it lay outside of the block that the cursor is in',
  repeats_above: 'it only repeated what stands above',
  repeats_below: 'it only repeated what stands below',
  brackets: 'it began by closing a bracket that is not open, or closed already',
  trim: 'it was blank',
};

/** Errors that a person can make something of; others are named by their code. */
const errorWords: Partial<Record<GhostTextReason, ReasonWords>> = {
  superseded: { short: 'superseded', long: 'A newer question in this document took its place.' },
  cancelled: { short: 'cancelled', long: 'The stream was cancelled.' },
  queue_full: {
    short: 'queue full',
    long: 'Too many requests wait for the model. The Streams view shows whose they are.',
  },
  queue_timeout: { short: 'waited too long', long: 'The model was busy with other requests for too long.' },
  deadline_exceeded: {
    short: 'too slow',
    long: 'The answer took longer than 10 seconds, so that it was of no use. A smaller model answers sooner.',
  },
  backend_unavailable: {
    short: 'no model can serve',
    long: 'No model is ready, or it has failed several times. The Backends view shows which.',
  },
  engine_crashed: { short: 'the engine crashed', long: 'The engine has crashed and is being started again.' },
  engine_hung: { short: 'the engine hung', long: 'The engine did not answer and is being started again.' },
  draining: { short: 'Hearth is ending', long: 'The sidecar is handing over or ending.' },
};

/** A reason in words. */
export function reasonWords({ reason, rule }: Extract<GhostTextOutcome, { kind: 'none' }>): ReasonWords {
  if (reason === 'filtered' && rule !== undefined) {
    return {
      short: `filtered by rule “${rule.replaceAll('_', ' ')}”`,
      long: `The model answered, but ${ruleWords[rule]}.`,
    };
  }
  return (
    (isOwn(reason) ? words[reason] : errorWords[reason]) ?? {
      short: reason.replaceAll('_', ' '),
      long: `The request failed with ${reason}. The activity log has the time and the place.`,
    }
  );
}

function isOwn(reason: GhostTextReason): reason is keyof typeof words {
  return Object.hasOwn(words, reason);
}

const sources = {
  shown: 'the rest of what was shown, nothing asked',
  cache: 'from the cache',
  stream: 'from a stream that was running',
  ahead: 'prepared ahead',
  engine: 'from the model',
} as const satisfies Record<Extract<GhostTextOutcome, { kind: 'shown' }>['source'], string>;

/** Where a suggestion came from, in words. */
export function sourceWords(source: keyof typeof sources): string {
  return sources[source];
}
