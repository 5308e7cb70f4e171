import {
  toHearthError,
  type GenerateRequest,
  type GhostTextOutcome,
  type GhostTextReason,
  type GhostTextRule,
} from '@hearth/protocol';
import type { DaemonApi } from '../daemon-api.js';
import { abilityOf, type Ability } from './ability.js';
import { isSure, type Confidence, type ScoredToken } from './confidence.js';
import { createAhead, type Ahead } from './ahead.js';
import { createDebounce } from './debounce.js';
import type { DocumentText } from './document-text.js';
import { startStream, type EngineStream, type EngineStreamOptions } from './engine-stream.js';
import { lineSoFar, placeAt, restOfLine, typedAt, type Place } from './place.js';
import { answerTokens, promptFor } from './prompt.js';
import { createRecentDocuments } from './related/recent-documents.js';
import { createRelatedFiles } from './related/related-files.js';
import { applyRules } from './rules/rules.js';
import { shapeAt, type Shape } from './shape.js';
import { createSuggestionCache, type Found, type Suggestion } from './suggestion-cache.js';
import { typedSince } from './typed-since.js';
import { createUnitsPerToken } from './units-per-token.js';
import { cutWindow, divideRoom } from './window.js';

/** One trigger: a cursor in a document that is open. */
export interface Trigger {
  readonly uri: string;
  /** Of the cursor, in UTF-16 units of the document as the editor has it. */
  readonly offset: number;
  /** Whether the person asked for it by name; then there is no pause, and there are alternatives. */
  readonly invoked: boolean;
  /** The selected entry of the suggestion list, taken as if it were typed in place of the text from `from` on. */
  readonly selected?: { readonly from: number; readonly text: string } | undefined;
}

/** What a trigger came to: the outcome, and the texts to show, the likeliest first. */
export interface Answer {
  readonly outcome: GhostTextOutcome;
  readonly texts: readonly string[];
}

/** Ghost text for the documents of one connection. */
export interface CompletionSession {
  readonly opened: (uri: string, language: string, text: DocumentText) => void;
  /** A change that is about to be, or was, made; offsets are those before it. */
  readonly changed: (uri: string, offset: number, removed: number, inserted: string) => void;
  readonly closed: (uri: string) => void;
  /** Never rejects: what goes wrong is an outcome. */
  readonly ask: (trigger: Trigger, signal: AbortSignal) => Promise<Answer>;
  /** Ends everything that runs. */
  readonly dispose: () => void;
}

export interface SessionOptions {
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Resolves after `ms`, or as soon as `signal` is aborted. */
  readonly pause: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** How long a generation goes on that nobody waits for: the next keystroke may want it. */
const graceMs = 250;
/** How long a stream may take before its whole lines are shown without waiting for its end. */
const patienceMs = 600;
/** How much text around the cursor says which definitions of other files are used, in UTF-16 units. */
const nearBefore = 2000;
const nearAfter = 500;
/** Alternatives of a suggestion that was asked for by name. */
const alternatives = 3;

/** `edits` counts the changes since it was opened. */
type Open = { readonly language: string; readonly text: DocumentText; edits: number };
type Ready = Exclude<Ability, { kind: 'none' }>;
type Source = Extract<GhostTextOutcome, { kind: 'shown' }>['source'];
type Reached =
  | { readonly kind: 'texts'; readonly texts: readonly string[]; readonly source: Source }
  | { readonly kind: 'none'; readonly reason: GhostTextReason; readonly rule?: GhostTextRule | undefined };

/**
 * Makes ghost text from a daemon and the documents of one editor, and asks the engine as seldom as it can: not while
 * what is shown still holds, not for what it has answered, not while what runs still fits, and not before the hands
 * have paused. A newer trigger that needs the engine takes the place of the older one in the daemon as well.
 *
 * @param peer whose fair share it counts against: see `Caller.client`.
 */
export function createCompletionSession(
  daemon: DaemonApi,
  peer: string,
  options: SessionOptions,
): CompletionSession {
  const { now, pause } = options;
  const documents = new Map<string, Open>();
  const recent = createRecentDocuments();
  const related = createRelatedFiles();
  const cache = createSuggestionCache(now);
  const debounce = createDebounce();
  const unitsPerToken = createUnitsPerToken();
  const streams = new Map<string, EngineStream>();
  /** Of the open documents. */
  const keys = new Map<string, number>();
  let lastKey = 0;
  const disposed = new AbortController();
  /** The last trigger of each document that waits. */
  const newest = new Map<string, Trigger>();
  /** The alternatives that are being generated. */
  const variants = new Set<EngineStream>();
  /** What ends each trigger that is being answered. */
  const asks = new Set<{ readonly uri: string; readonly abort: () => void }>();
  let ahead: Ahead | undefined;
  /** Where the suggestion that stands in the editor was shown; undefined while none does. */
  let standing: Place | undefined;
  let model: string | undefined;
  /** Whether the engine of this model takes other files as such; it refuses them by a code of its own. */
  let takesFiles = true;

  /** A number in place of the document's name, since the daemon has no need to know that. */
  function keyOf(uri: string): number {
    const known = keys.get(uri);
    if (known !== undefined) return known;
    lastKey += 1;
    keys.set(uri, lastKey);
    return lastKey;
  }

  function request(ability: Ready, place: Place, shape: Shape, variant: number): GenerateRequest {
    const { contextSize } = ability.model;
    const infill = ability.kind === 'infill';
    const room = divideRoom(contextSize, answerTokens(shape), unitsPerToken.estimate(), infill);
    const near = place.before.slice(-nearBefore) + place.after.slice(0, nearAfter);
    const files = related.choose(place.uri, place.language, recent.all(), room.related, near);
    const window = cutWindow(place, room);
    return promptFor(ability, window, files, takesFiles, place.language, shape, variant);
  }

  function streamOptions(
    { model: { confidence } }: Ready,
    place: Place,
    shape: Shape,
    offset: number,
  ): EngineStreamOptions {
    return { confidence, place, shape, offset, graceMs, since: now(), peer, onUsage: unitsPerToken.learn };
  }

  function begin(ability: Ready, place: Place, shape: Shape, trigger: Trigger): EngineStream {
    const awaited = yetToType(trigger, documents.get(trigger.uri)?.text);
    const key = { class: 'interactive', supersede_key: `ghost ${keyOf(place.uri)}` } as const;
    const stream = startStream(
      daemon,
      { ...request(ability, place, shape, 0), ...key },
      { ...streamOptions(ability, place, shape, trigger.offset), awaited },
    );
    streams.set(place.uri, stream);
    void stream.ended.then((end) => {
      if (end.kind !== 'text') return;
      debounce.answered(now() - stream.since);
      cache.put(place, settle(end, place, shape, ability.model.confidence));
    });
    return stream;
  }

  /**
   * What a place comes to, by whatever way is shortest.
   *
   * @param shown where what the editor showed until now was suggested
   */
  async function reach(
    trigger: Trigger,
    place: Place,
    shown: Place | undefined,
    signal: AbortSignal,
  ): Promise<Reached> {
    const ability = abilityOf(daemon.health());
    if (ability.kind === 'none') return { kind: 'none', reason: ability.reason };
    if (model !== ability.model.id) {
      cache.clear();
      takesFiles = true;
    }
    model = ability.model.id;
    if (place.before.trim() === '' && place.after.trim() === '') return none('nothing_to_go_on');
    const unwanted = trigger.invoked ? undefined : unwantedAt(place);
    if (unwanted !== undefined) return none(unwanted);

    const shape = shapeAt(place);
    const known = cache.find(place);
    const first =
      known === undefined
        ? await generated(ability, trigger, place, shape, signal)
        : fromCache(known, wayTo(known, place, shown));
    if (!trigger.invoked || first.kind === 'none' || first.texts.length > 1) return first;
    const texts = await vary(ability, place, shape, first.texts, signal);
    cache.put(place, { kind: 'texts', texts });
    return { ...first, texts };
  }

  /** What the engine says to a place: by what runs already, or by a new generation once the hands have paused. */
  async function generated(
    ability: Ready,
    trigger: Trigger,
    place: Place,
    shape: Shape,
    signal: AbortSignal,
  ): Promise<Reached> {
    const joined = fitting(place);
    const followed = joined && (await follow(joined, place, joined.ahead ? 'ahead' : 'stream', signal));
    if (followed !== undefined) return followed;
    dropMisfit(place);
    if (!trigger.invoked) {
      const ms = debounce.pauseAt(place);
      const edits = documents.get(trigger.uri)?.edits;
      if (ms > 0) await pause(ms, signal);
      // Who has edited on without asking again has no use for the answer either.
      if (signal.aborted || documents.get(trigger.uri)?.edits !== edits) return none('typing');
      if (newest.get(trigger.uri) !== trigger) return none('superseded');
    }
    const ask = async (): Promise<Reached> =>
      (await follow(begin(ability, place, shape, trigger), place, 'engine', signal)) ?? none('superseded');
    const asked = await ask();
    if (asked.kind === 'texts' || asked.reason !== 'unsupported_parameter' || !takesFiles) return asked;
    takesFiles = false;
    return ask();
  }

  /** Alternatives for somebody who asked by name, so that there is something to cycle through. */
  async function vary(
    ability: Ready,
    place: Place,
    shape: Shape,
    texts: readonly string[],
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    const more = Array.from({ length: alternatives - 1 }, async (_unused, index) => {
      const asked = { ...request(ability, place, shape, index + 1), class: 'interactive' } as const;
      const stream = startStream(daemon, asked, streamOptions(ability, place, shape, 0));
      variants.add(stream);
      signal.addEventListener('abort', stream.abort, { once: true });
      const end = await stream.ended;
      signal.removeEventListener('abort', stream.abort);
      variants.delete(stream);
      const suggestion =
        end.kind === 'text' ? settle(end, place, shape, ability.model.confidence) : undefined;
      return suggestion?.kind === 'texts' ? suggestion.texts : [];
    });
    return [...new Set([...texts, ...(await Promise.all(more)).flat()])];
  }

  /**
   * Waits for a stream on behalf of a trigger that may have come while it ran. Where it takes long, the lines that are
   * whole by then are the answer, and the stream goes on for when they have been typed or taken.
   *
   * @returns undefined where it came to something that does not hold at `place`, such as a bracket too many
   */
  async function follow(
    stream: EngineStream,
    place: Place,
    source: Source,
    signal: AbortSignal,
  ): Promise<Reached | undefined> {
    const leave = stream.join();
    const settled = Promise.race([stream.ended, abortOf(signal)]);
    // Counted from its beginning: who types on asks again at each key, and would never have waited long enough.
    let end = await within(Math.max(0, stream.since + patienceMs - now()), settled);
    while (end === 'late') {
      const early = linesSoFar(stream, place);
      if (early !== undefined) {
        void stream.ended.then(leave);
        return { kind: 'texts', texts: [early], source };
      }
      end = await Promise.race([settled, stream.grown().then(() => 'late' as const)]);
    }
    leave();
    if (end === 'aborted') return none('typing');
    if (end.kind === 'failed') return none(end.code);
    if (end.kind === 'cancelled') return none('superseded');
    const found = cache.find(place);
    return found && fromCache(found, source);
  }

  /** What `promise` comes to, or `late` where it takes longer than `ms`. */
  async function within<T>(ms: number, promise: Promise<T>): Promise<T | 'late'> {
    const done = new AbortController();
    try {
      return await Promise.race([promise, pause(ms, done.signal).then(() => 'late' as const)]);
    } finally {
      done.abort();
    }
  }

  /** What can be shown of a stream that is not at its end: its whole lines. */
  function linesSoFar(stream: EngineStream, place: Place): string | undefined {
    const text = stream.text();
    const whole = text.slice(0, Math.max(0, text.lastIndexOf('\n')));
    const soFar = { text: whole, tokens: stream.tokens() };
    const suggestion = settle(soFar, stream.place, stream.shape, stream.confidence);
    if (suggestion.kind === 'none' || !stream.isRunning()) return undefined;
    // Until the end of the stream puts the whole in its place.
    cache.put(stream.place, suggestion, stream.ahead);
    const found = cache.find(place);
    return found?.suggestion.kind === 'texts' ? found.suggestion.texts[0] : undefined;
  }

  function fitting(place: Place): EngineStream | undefined {
    const stream = streams.get(place.uri);
    return stream?.isRunning() === true && stream.fits(place) ? stream : undefined;
  }

  function dropMisfit(place: Place): void {
    const stream = streams.get(place.uri);
    if (stream === undefined || (stream.isRunning() && stream.fits(place))) return;
    stream.abort();
    streams.delete(place.uri);
  }

  /** Prepares what follows a suggestion, once it has been shown for a moment, for when it is accepted. */
  function prepare(trigger: Trigger, place: Place, text: string): void {
    const next = typedAt(place, text);
    if (ahead?.isAlive() === true && ahead.place.uri === next.uri && ahead.place.before === next.before)
      return;
    ahead?.stop();
    ahead =
      cache.find(next) === undefined && unwantedAt(next) === undefined
        ? createAhead(next, text, trigger.offset, pause, (awaited, cursor) =>
            beginAhead(next, awaited, cursor),
          )
        : undefined;
  }

  /** Only with what nobody else wants, and not while more of what is shown is still coming. */
  function beginAhead(next: Place, awaited: string, cursor: number): EngineStream | undefined {
    const health = daemon.health();
    const { queued, permitsInUse, activePermits } = health.admission;
    const isBusy = queued > 0 || permitsInUse >= activePermits;
    const ability = abilityOf(health);
    if (isBusy || ability.kind === 'none' || streams.get(next.uri)?.isRunning() === true) return undefined;
    const shape = shapeAt(next);
    const key = { class: 'background', supersede_key: `ahead ${keyOf(next.uri)}` } as const;
    const stream = startStream(
      daemon,
      { ...request(ability, next, shape, 0), ...key },
      { ...streamOptions(ability, next, shape, cursor), awaited, ahead: true },
    );
    streams.set(next.uri, stream);
    void stream.ended.then((end) => {
      if (end.kind === 'text') cache.put(next, settle(end, next, shape, ability.model.confidence), true);
    });
    return stream;
  }

  return {
    opened: (uri, language, text) => {
      documents.set(uri, { language, text, edits: 0 });
      recent.opened(uri, language, text);
    },
    changed: (uri, offset, removed, inserted) => {
      if (inserted.length > 0 && inserted.length <= 2 && removed === 0) debounce.typed(now());
      recent.changed(uri, offset);
      const document = documents.get(uri);
      if (document !== undefined) document.edits += 1;
      for (const one of variants) if (one.place.uri === uri) one.abort();
      streams.get(uri)?.changed(offset, removed, inserted);
      if (ahead?.place.uri === uri) ahead.changed(offset, removed, inserted);
    },
    closed: (uri) => {
      recent.closed(uri);
      documents.delete(uri);
      keys.delete(uri);
      for (const one of asks) if (one.uri === uri) one.abort();
      streams.get(uri)?.abort();
      streams.delete(uri);
      if (ahead?.place.uri !== uri) return;
      ahead.stop();
      ahead = undefined;
    },
    ask: async (trigger, signal) => {
      const since = now();
      const answer = (reached: Reached): Answer => toAnswer(reached, now() - since);
      const document = documents.get(trigger.uri);
      if (document === undefined) return answer(none('unknown_document'));
      const place = placeOf(trigger, document);
      if (typeof place === 'string') return answer(none(place));
      newest.set(trigger.uri, trigger);
      const shown = standing;
      standing = undefined;
      // Not AbortSignal.any: what that makes lives as long as its oldest source once somebody listens.
      const ending = new AbortController();
      const abort = (): void => ending.abort();
      signal.addEventListener('abort', abort, { once: true });
      if (signal.aborted || disposed.signal.aborted) abort();
      const asking = { uri: trigger.uri, abort };
      asks.add(asking);
      let reached: Reached;
      try {
        reached = await reach(trigger, place, shown, ending.signal);
      } catch (error) {
        reached = none(toHearthError(error).code);
      } finally {
        asks.delete(asking);
        signal.removeEventListener('abort', abort);
        if (newest.get(trigger.uri) === trigger) newest.delete(trigger.uri);
      }
      if (documents.get(trigger.uri) !== document) return answer(none('unknown_document'));
      if (ending.signal.aborted || reached.kind === 'none') return answer(reached);
      standing = place;
      const [text] = reached.texts;
      if (text !== undefined && trigger.selected === undefined) prepare(trigger, place, text);
      return answer(reached);
    },
    dispose: () => {
      disposed.abort();
      ahead?.stop();
      for (const { abort } of asks) abort();
      for (const stream of streams.values()) stream.abort();
      streams.clear();
    },
  };
}

/** The place of a trigger, with the selected entry of the suggestion list taken as typed. */
function placeOf(trigger: Trigger, { language, text }: Open): Place | GhostTextReason {
  const { uri, offset, selected } = trigger;
  const place = placeAt({ uri, language, text }, offset);
  if (typeof place === 'string' || selected === undefined) return place;
  if (selected.from > offset) return 'selection_conflict';
  const start = placeAt({ uri, language, text }, selected.from);
  if (typeof start === 'string') return start;
  return { ...place, before: start.before + selected.text, start: start.start };
}

/** A raw completion as it is kept: ruled, or the reason why nothing is left. */
function settle(
  { text, tokens }: { readonly text: string; readonly tokens: readonly ScoredToken[] },
  place: Place,
  shape: Shape,
  confidence: Confidence = [],
): Suggestion {
  const ruled = applyRules(text, { place, shape });
  switch (ruled.kind) {
    case 'text':
      if (!isSure(confidence, tokens, text, ruled.text)) return { kind: 'none', reason: 'not_sure' };
      return { kind: 'texts', texts: [ruled.text] };
    case 'empty':
      return { kind: 'none', reason: 'empty_answer' };
    case 'filtered':
      return { kind: 'none', reason: 'filtered', rule: ruled.rule };
  }
}

function fromCache({ suggestion }: Found, source: Source): Reached {
  if (suggestion.kind === 'none') return { kind: 'none', reason: suggestion.reason, rule: suggestion.rule };
  return { kind: 'texts', texts: suggestion.texts, source };
}

/** How what is remembered came to a place: prepared, along what still stood there, or asked earlier. */
function wayTo({ exact, ahead }: Found, place: Place, shown: Place | undefined): Source {
  if (exact && ahead) return 'ahead';
  return shown !== undefined && typedSince(shown, place) !== undefined ? 'shown' : 'cache';
}

/**
 * Why nobody who types wants a suggestion at a place: in the middle of a word it would have to guess that its end is
 * wrong, and in front of a bracket on a line of its own it would push that behind a statement.
 */
function unwantedAt(place: Place): 'inside_word' | 'block_end' | undefined {
  const [line, rest] = [lineSoFar(place), restOfLine(place)];
  if (/\w$/.test(line) && /^\w/.test(rest)) return 'inside_word';
  return line.trim() === '' && /^\s*[)\]}]/.test(rest) ? 'block_end' : undefined;
}

/** What of the selected entry of the suggestion list is not typed yet, where typing it out is a way to its end. */
function yetToType({ selected, offset }: Trigger, document: DocumentText | undefined): string {
  if (selected === undefined || document === undefined) return '';
  const typed = document.slice(selected.from, offset);
  return selected.text.startsWith(typed) ? selected.text.slice(typed.length) : '';
}

function toAnswer(reached: Reached, elapsed: number): Answer {
  const ms = Math.round(elapsed);
  if (reached.kind === 'texts') {
    const lines = reached.texts[0]?.split('\n').length ?? 0;
    return { outcome: { kind: 'shown', source: reached.source, ms, lines }, texts: reached.texts };
  }
  const { reason, rule } = reached;
  return { outcome: { kind: 'none', reason, ...(rule === undefined ? {} : { rule }), ms }, texts: [] };
}

function none(reason: GhostTextReason): Reached {
  return { kind: 'none', reason };
}

function abortOf(signal: AbortSignal): Promise<'aborted'> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve('aborted');
    signal.addEventListener('abort', () => resolve('aborted'), { once: true });
  });
}
