import type { EngineStream } from './engine-stream.js';
import { plainLines, type Place } from './place.js';

/** What is being prepared, or will be once a suggestion has been shown for a moment. */
export interface Ahead {
  /** Where the suggestion will have been taken. */
  readonly place: Place;
  /** Whether it is waiting to begin, or runs. */
  readonly isAlive: () => boolean;
  /** Ends it, in whatever stage. */
  readonly stop: () => void;
  /** Takes in a change of the document: typing along what is shown puts off the beginning, anything else ends it. */
  readonly changed: (offset: number, removed: number, inserted: string) => void;
}

/** How long a suggestion must have been shown before what follows it is prepared. */
const aheadAfterMs = 120;

/**
 * Prepares what follows a suggestion.
 *
 * @param text the suggestion, which ends at `place`
 * @param offset of the cursor at its beginning, in the document as the editor counts
 * @param pause resolves after a time, or as soon as the signal is aborted
 * @param begin generates, after the rest of the suggestion was typed or taken at the cursor; or finds that it cannot now
 */
export function createAhead(
  place: Place,
  text: string,
  offset: number,
  pause: (ms: number, signal: AbortSignal) => Promise<void>,
  begin: (awaited: string, cursor: number) => EngineStream | undefined,
): Ahead {
  let awaited = text;
  let cursor = offset;
  let timer = new AbortController();
  let stream: EngineStream | undefined;

  const arm = (): void => {
    timer = new AbortController();
    const { signal } = timer;
    void pause(aheadAfterMs, signal).then(() => {
      if (signal.aborted) return;
      stream = begin(awaited, cursor);
      if (stream === undefined) timer.abort();
    });
  };
  arm();

  return {
    place,
    isAlive: () => (stream === undefined ? !timer.signal.aborted : stream.isRunning()),
    stop: () => {
      timer.abort();
      stream?.abort();
    },
    changed: (at, removed, inserted) => {
      // The stream hears of it by itself.
      if (stream !== undefined) return;
      timer.abort();
      const typed = plainLines(inserted);
      if (at !== cursor || removed > 0 || !awaited.startsWith(typed) || awaited === typed) return;
      cursor += inserted.length;
      awaited = awaited.slice(typed.length);
      arm();
    },
  };
}
