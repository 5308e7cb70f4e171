import { HearthFailure, type FailureHelp } from './sidecar/hearth-connection.js';

/** What is said of a document that takes no change. */
export const lockedText =
  'This document cannot be changed: it is locked, or read-only. Unlock it, or save a copy of it, and try again.';

/** @param help how to unlock it, where VS Code can */
export function lockedFailure(...help: readonly FailureHelp[]): HearthFailure {
  return new HearthFailure(lockedText, undefined, help);
}
