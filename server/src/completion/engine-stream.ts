import { toHearthError, type ErrorCode, type GenerateRequest } from '@hearth/protocol';
import type { DaemonApi } from '../daemon-api.js';
import type { Confidence, ScoredToken } from './confidence.js';
import { plainLines, type Place } from './place.js';
import type { Shape } from './shape.js';
import { typedSince } from './typed-since.js';

/** How a stream ended. */
export type StreamEnd =
  | { readonly kind: 'text'; readonly text: string; readonly tokens: readonly ScoredToken[] }
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'failed'; readonly code: ErrorCode };

/** A generation for a place, which more than one trigger may wait for, one after the other. */
export interface EngineStream {
  readonly place: Place;
  readonly shape: Shape;
  /** What is asked of it: see {@link Confidence}. */
  readonly confidence: Confidence | undefined;
  /** Whether it was begun before anybody asked. */
  readonly ahead: boolean;
  /** What has come so far. */
  readonly text: () => string;
  /** The tokens of that, where the request asked how likely they were; else none. */
  readonly tokens: () => readonly ScoredToken[];
  readonly isRunning: () => boolean;
  /** When it began, in monotonic milliseconds. */
  readonly since: number;
  /** Resolves when more of it has come, or it has ended. */
  readonly grown: () => Promise<void>;
  readonly ended: Promise<StreamEnd>;
  /** Whether what has come so far still goes with what stands at `place` now. */
  readonly fits: (place: Place) => boolean;
  /** Takes in a change of the document, before anybody asks again. An edit that it cannot hold for ends it. */
  readonly changed: (offset: number, removed: number, inserted: string) => void;
  /** Somebody waits; the stream goes on until the last one has left it for a while. @returns leaves it */
  readonly join: () => () => void;
  readonly abort: () => void;
}

export interface EngineStreamOptions {
  readonly place: Place;
  readonly shape: Shape;
  readonly confidence?: Confidence | undefined;
  /** Offset of the cursor in the document as the editor counts. */
  readonly offset: number;
  /** Text that the person has yet to type, or to accept, before `place` is reached. */
  readonly awaited?: string;
  /** Whether it is begun before anybody asks. @default false */
  readonly ahead?: boolean;
  /** How long it goes on while nobody waits, in milliseconds. */
  readonly graceMs: number;
  /** Now, in monotonic milliseconds. */
  readonly since: number;
  /** Whose fair share it counts against: see `Caller.client`. */
  readonly peer: string;
  /** Called with units and tokens of the prompt, once they are known. */
  readonly onUsage: (units: number, tokens: number) => void;
}

/** Begins to generate, at once. */
export function startStream(
  daemon: DaemonApi,
  request: GenerateRequest,
  options: EngineStreamOptions,
): EngineStream {
  const { place, shape, graceMs, since } = options;
  const controller = new AbortController();
  let text = '';
  const tokens: ScoredToken[] = [];
  let running = true;
  let waiting = 0;
  let timer: NodeJS.Timeout | undefined;
  const { awaited = '', ahead = false } = options;
  let typed = '';
  /** Where the next key goes, as the editor counts. */
  let cursor = options.offset;
  const abort = (): void => {
    clearTimeout(timer);
    controller.abort();
  };
  const onGrown: (() => void)[] = [];
  const tellGrown = (): void => {
    for (const resolve of onGrown.splice(0)) resolve();
  };

  const run = async (): Promise<StreamEnd> => {
    try {
      const caller = {
        name: ahead ? 'ghost text, ahead' : 'ghost text',
        client: options.peer,
        route: 'inlineCompletion',
      };
      for await (const event of daemon.generate(request, caller, controller.signal)) {
        if (event.kind === 'token') {
          text += event.text;
          tokens.push(...(event.logprobs ?? []));
          tellGrown();
        }
        if (event.kind !== 'done') continue;
        if (event.stopReason === 'cancelled') return { kind: 'cancelled' };
        options.onUsage(unitsOf(request), event.usage.prompt_tokens);
        text = event.text;
        return { kind: 'text', text, tokens };
      }
      return { kind: 'cancelled' };
    } catch (error) {
      return { kind: 'failed', code: toHearthError(error).code };
    } finally {
      running = false;
      clearTimeout(timer);
      tellGrown();
    }
  };
  const goesWith = (more: string): boolean => text.startsWith(more) || (running && more.startsWith(text));

  return {
    place,
    shape,
    confidence: options.confidence,
    ahead,
    text: () => text,
    tokens: () => tokens,
    isRunning: () => running && !controller.signal.aborted,
    since,
    grown: () => new Promise((resolve) => (running ? onGrown.push(resolve) : resolve())),
    ended: run(),
    fits: (now) => {
      if (controller.signal.aborted) return false;
      const since = typedSince(place, now);
      return since !== undefined && goesWith(since.text);
    },
    changed: (offset, removed, inserted) => {
      if (!running) return;
      const key = typedOf(inserted);
      const grown = typed + plainLines(key);
      const isAtCursor = offset === cursor && removed === 0;
      const along = awaited === '' ? goesWith(grown) : awaited.startsWith(grown) || grown.startsWith(awaited);
      if (!isAtCursor || !along) {
        abort();
        return;
      }
      typed = grown;
      cursor += key.length;
      if (awaited !== '' && typed.startsWith(awaited) && !goesWith(typed.slice(awaited.length))) abort();
    },
    join: () => {
      waiting += 1;
      clearTimeout(timer);
      let left = false;
      return () => {
        if (left) return;
        left = true;
        waiting -= 1;
        if (waiting === 0 && running) timer = setTimeout(abort, graceMs);
      };
    },
    abort,
  };
}

/** How much text the engine was given, other files included. */
function unitsOf({ prompt, suffix, files }: GenerateRequest): number {
  const related = (files ?? []).reduce((sum, { path, content }) => sum + path.length + content.length, 0);
  return (prompt?.length ?? 0) + (suffix?.length ?? 0) + related;
}

/**
 * What was typed, without what the editor put behind it in the same change: the closing bracket or quote, or the line on
 * which Enter between two brackets leaves the closing one.
 */
function typedOf(inserted: string): string {
  if (['()', '[]', '{}', '""', "''", '``', '<>'].includes(inserted)) return inserted.slice(0, 1);
  return /^(\r?\n[\t ]*)\r?\n[\t ]*$/.exec(inserted)?.[1] ?? inserted;
}
