import type { ModelInfo } from '@hearth/protocol';

/** A careful guess for code; the engine counts exactly and trims what still does not fit. */
const charactersPerToken = 3;

/**
 * The prompt for a continuation at a cursor: the nearest text before it, and the nearest after it too where the
 * model can fill in the middle and there is something to meet.
 */
export function continuationPrompt(
  { before, after }: { readonly before: string; readonly after: string },
  { contextSize, infill }: ModelInfo,
): { readonly prompt: string; readonly suffix?: string } {
  const room = Math.floor(contextSize / 2) * charactersPerToken;
  if (!infill || after.trim() === '') return { prompt: before.slice(-room) };
  const forSuffix = Math.floor(room / 4);
  return { prompt: before.slice(-(room - forSuffix)), suffix: after.slice(0, forSuffix) };
}
