import { errorCodes, type ErrorCode } from './errors.js';

/** What can be told about ghost text: where it came from, and why there was none. */

/** The rules that a completion passes before it is shown, in this order. */
export const ghostTextRules = [
  'fences',
  'lines',
  'scope',
  'repeats_above',
  'repeats_below',
  'brackets',
  'trim',
] as const;
export type GhostTextRule = (typeof ghostTextRules)[number];

/** Reasons of its own that ghost text has, beside the codes of errors. */
export const ghostTextReasons = [
  // Said by an editor, which asked nothing.
  'switched_off',
  'paused',
  'snoozed',
  'not_running',
  'document_too_large',
  // Said by the daemon.
  'unknown_document',
  'binary_document',
  'inside_character',
  'inside_word',
  'block_end',
  'selection_conflict',
  'nothing_to_go_on',
  'loading',
  'no_infill',
  'typing',
  'filtered',
  'not_sure',
  'empty_answer',
] as const;

/** Why a trigger showed nothing. A trigger that shows nothing is never an error. */
export type GhostTextReason = (typeof ghostTextReasons)[number] | ErrorCode;

/** Every {@link GhostTextReason}. */
export const allGhostTextReasons: readonly GhostTextReason[] = [...ghostTextReasons, ...errorCodes];

/**
 * What became of one trigger. It holds no text and no path.
 *
 * `source`: `shown` is the rest of what was shown already, `cache` an earlier answer, `stream` a generation that was
 * running, `ahead` one that was begun before it was asked for, `engine` a new one.
 */
export type GhostTextOutcome =
  | {
      readonly kind: 'shown';
      readonly source: 'shown' | 'cache' | 'stream' | 'ahead' | 'engine';
      /** From the trigger to the answer, pauses for typing included. */
      readonly ms: number;
      readonly lines: number;
    }
  | {
      readonly kind: 'none';
      readonly reason: GhostTextReason;
      /** The rule that left nothing, where the reason is `filtered`. */
      readonly rule?: GhostTextRule;
      readonly ms: number;
    };
