import type { RememberedOutcome } from './outcomes.js';
import { reasonWords, sourceWords } from './reason-words.js';

/** What the status bar's hover says of ghost text, as Markdown with command links. */
export function outcomeTooltip(
  latest: RememberedOutcome | undefined,
  off: string | undefined,
): readonly string[] {
  const why = '[Why no suggestion?](command:hearth.whyNoSuggestion)';
  if (off !== undefined) return [`$(debug-pause) ${off} [Resume](command:hearth.resumeGhostText) · ${why}`];
  if (latest === undefined) return [];
  const { outcome, at } = latest;
  const time = new Date(at).toLocaleTimeString('en-GB');
  const pause = '[Snooze](command:hearth.snoozeGhostText)';
  if (outcome.kind === 'shown') {
    const text = `$(sparkle) Last suggestion at ${time}: ${sourceWords(outcome.source)}, ${outcome.ms} ms.`;
    return [`${text} ${why} · ${pause}`];
  }
  const { short, long } = reasonWords(outcome);
  return [`$(circle-slash) **No suggestion** at ${time}: ${short}. ${long}`, `${why} · ${pause}`];
}
