import { EventEmitter, type Disposable, type Event } from 'vscode';
import type { ModelInfo } from '@hearth/protocol';
import { waitNews } from '../streaming/wait-news.js';
import { lockedFailure, lockedText } from '../locked-document.js';
import { HearthFailure, type HearthConnection } from '../sidecar/hearth-connection.js';
import { codeInAnswer, hasBlock, indentLike } from './answer-code.js';
import { editRequest } from './edit-prompt.js';
import { hunksOf, markChange, markUnfinished, settle, settleAll, type Hunk } from './marked-lines.js';
import type { RegionInDocument } from './region-in-document.js';

/** Where an inline edit has got to, and a sentence about it for the person. */
export type EditState =
  | { readonly kind: 'asking'; readonly text: string }
  | { readonly kind: 'writing'; readonly text: string }
  | { readonly kind: 'review'; readonly text: string }
  | { readonly kind: 'over' };

/** One inline edit: asked for, written into the document as a live change, decided. */
export interface EditSession extends Disposable {
  readonly state: () => EditState;
  readonly onDidChange: Event<void>;
  readonly region: RegionInDocument;
  /** Line of the region where the next line will be written; undefined while nothing is. */
  readonly writtenTo: () => number | undefined;
  /**
   * Writes what `instruction` asks for. On a finished edit it goes on from what is there. Resolves when it has stopped.
   *
   * @throws HearthFailure where the document is locked; other failures are in {@link state}
   */
  readonly write: (instruction: string) => Promise<void>;
  /** Writes the last instruction anew, from what was there before it. */
  readonly retry: () => Promise<void>;
  /** Stops the writing; what is there can be decided. */
  readonly stop: () => void;
  /** Decides one change, or all that are left, which ends the edit. */
  readonly decide: (verdict: 'accept' | 'reject', hunk?: Hunk) => Promise<void>;
}

/** What surrounds a region, and what an edit asks its answers of. */
export interface EditSurroundings {
  readonly connection: () => HearthConnection;
  readonly model: () => ModelInfo;
}

const interferedText = 'Stopped: the code changed while it was being rewritten. That change is kept.';

const talkText = 'The model wrote no block of code: see whether this is code.';

const writing: EditState = { kind: 'writing', text: 'writing… Escape stops it' };

/** Begins an inline edit of `region`. Nothing is written before it is asked to. */
export function startEditSession(region: RegionInDocument, around: EditSurroundings): EditSession {
  const { document } = region;
  const changed = new EventEmitter<void>();
  let state: EditState = { kind: 'asking', text: '' };
  let running: AbortController | undefined;
  /** Undefined before anything has come. */
  let written: number | undefined;
  let earlier: readonly string[] = [];
  let last: string | undefined;
  let stopReason: string | undefined;

  const become = (next: EditState): void => {
    if (state.kind === 'over') return;
    state = next;
    changed.fire();
  };
  const isOpen = (): boolean => state.kind !== 'over';
  const textsNow = (verdict: 'accept' | 'reject'): readonly string[] =>
    settleAll(region.region().lines, verdict).map(({ text }) => text);

  const interference = region.onInterference((kind) => {
    if (kind === 'lost') {
      running?.abort();
      become({ kind: 'over' });
    } else if (running !== undefined) {
      stopReason = interferedText;
      running.abort();
    }
  });
  const moves = region.onDidChange(() => changed.fire());

  /** Keeps the document in step with the answer; a fast model costs few edits. */
  const follow = (base: readonly string[], answer: () => string, stop: AbortController) => {
    let wanted = false;
    let drawing: Promise<void> | undefined;
    const draw = async (): Promise<void> => {
      while (wanted && !stop.signal.aborted) {
        wanted = false;
        const lines = indentLike(codeInAnswer(answer(), false), base);
        written = lines.length;
        const marked = markUnfinished(base, lines);
        if (await region.show(marked)) continue;
        stopReason ??= lockedText;
        stop.abort();
      }
    };
    return {
      update: (): void => {
        wanted = true;
        drawing ??= draw().finally(() => {
          drawing = undefined;
        });
      },
      settled: async (): Promise<void> => {
        await drawing;
      },
    };
  };

  const run = async (instruction: string, base: readonly string[]): Promise<void> => {
    running?.abort();
    const stop = new AbortController();
    running = stop;
    stopReason = undefined;
    written = undefined;
    last = instruction;
    let answer = '';
    const drawing = follow(base, () => answer, stop);
    try {
      const connection = around.connection();
      const model = around.model();
      const request = editRequest(
        { ...sidesOf(region), code: base.join('\n'), language: document.languageId, earlier, instruction },
        model,
      );
      if (request === undefined) {
        throw new HearthFailure(
          `This code is too long for ${model.displayName} to write anew in its context of ${model.contextSize} tokens. Select less.`,
        );
      }
      become(writing);
      const outcome = await connection.generate(
        { request: { ...request, model: model.id, events: true }, client: 'inline edit' },
        (text) => {
          if (answer === '') become(writing);
          answer += text;
          drawing.update();
        },
        stop.signal,
        waitNews((words) => {
          if (running === stop) become({ kind: 'writing', text: `${words}… Escape stops it` });
        }),
      );
      await drawing.settled();
      if (outcome.kind === 'done' && !stop.signal.aborted) {
        const lines = indentLike(codeInAnswer(answer, true), base);
        // Nothing at all is more likely a model that did not understand than a wish to delete everything.
        if (lines.length > 0 && !(await region.show(markChange(base, lines)))) stopReason ??= lockedText;
        if (!hasBlock(answer)) stopReason ??= talkText;
      }
    } catch (error) {
      await drawing.settled();
      if (!(error instanceof HearthFailure)) throw error;
      stopReason = error.message;
    } finally {
      if (running === stop) running = undefined;
      if (running === undefined) become(afterWriting());
    }
    // Beside the words in the box, for the button that a message can have.
    if (stopReason === lockedText && isOpen()) throw lockedFailure('unlock_and_retry');
  };

  const afterWriting = (): EditState => {
    const count = hunksOf(region.region().lines).length;
    const why = stopReason === undefined ? '' : `${stopReason} `;
    if (count > 0) {
      const changes = count === 1 ? 'One change' : `${count} changes`;
      return { kind: 'review', text: `${why}${changes}: accept or reject, or say what else should change.` };
    }
    const nothing = 'The model changed nothing. Say it in another way, or try another model.';
    return { kind: 'asking', text: stopReason ?? nothing };
  };

  return {
    state: () => state,
    onDidChange: changed.event,
    region,
    writtenTo: () => (running === undefined ? undefined : written),
    write: async (instruction) => {
      if (hunksOf(region.region().lines).length > 0) {
        // A follow-up goes on from what was written.
        if (last !== undefined) earlier = [...earlier, last];
        await region.show(settleAll(region.region().lines, 'accept'));
      }
      await run(instruction, textsNow('accept'));
    },
    retry: async () => {
      if (last === undefined) return;
      running?.abort();
      await region.show(settleAll(region.region().lines, 'reject'));
      await run(last, textsNow('reject'));
    },
    stop: () => {
      stopReason = 'Stopped.';
      running?.abort();
    },
    decide: async (verdict, hunk) => {
      running?.abort();
      const { lines } = region.region();
      await region.show(hunk === undefined ? settleAll(lines, verdict) : settle(lines, hunk, verdict));
      const left = hunksOf(region.region().lines).length;
      if (left === 0) await region.condense();
      become(left === 0 ? { kind: 'over' } : afterWriting());
    },
    dispose: () => {
      running?.abort();
      interference.dispose();
      moves.dispose();
      region.dispose();
      changed.dispose();
    },
  };
}

/** The text of the document before and after the region. */
function sidesOf({ document, region }: RegionInDocument): {
  readonly before: string;
  readonly after: string;
} {
  const { start, lines } = region();
  const texts = document.getText().split(/\r?\n/);
  return {
    before: texts.slice(0, start).join('\n'),
    after: texts.slice(start + lines.length).join('\n'),
  };
}
