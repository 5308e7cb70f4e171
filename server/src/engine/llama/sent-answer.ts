import type { EngineChunk } from '../engine.js';

/** A piece of an answer. */
export type AnswerChunk = Exclude<EngineChunk, { kind: 'done' | 'prefill' }>;

type Run =
  | { readonly kind: 'token' | 'thinking'; text: string }
  | { readonly kind: 'tool_call'; readonly name: string; readonly text: string };

/** What a repeated answer brings: what is known already, what is new, or something else than what was sent. */
export type Repetition =
  | { readonly kind: 'known' }
  | { readonly kind: 'new'; readonly chunk: AnswerChunk }
  | { readonly kind: 'differs' };

/** What a consumer has of an answer. Bounded by the request's `max_tokens`. */
export class SentAnswer {
  readonly #runs: Run[] = [];

  add(chunk: AnswerChunk): void {
    switch (chunk.kind) {
      case 'token':
      case 'thinking': {
        const last = this.#runs.at(-1);
        if (last?.kind === chunk.kind) last.text += chunk.text;
        else this.#runs.push({ kind: chunk.kind, text: chunk.text });
        return;
      }
      case 'tool_call':
        this.#runs.push({ kind: 'tool_call', name: chunk.call.name, text: chunk.call.arguments });
        return;
      case 'resumed':
        return;
    }
  }

  /** Compares the same answer, made once more, with what is there now. Pieces may be cut elsewhere. */
  replay(): Replay {
    return new Replay(this.#runs.map((run) => ({ ...run })));
  }
}

class Replay {
  readonly #runs: readonly Run[];
  #run = 0;
  /** UTF-16 units of the run that have come again. */
  #offset = 0;

  constructor(runs: readonly Run[]) {
    this.#runs = runs;
  }

  /** Whether all of it has come again. */
  get isOver(): boolean {
    return this.#run === this.#runs.length;
  }

  take(chunk: AnswerChunk): Repetition {
    const run = this.#runs[this.#run];
    if (run === undefined) return { kind: 'new', chunk };
    if (chunk.kind === 'resumed') return { kind: 'known' };
    if (chunk.kind !== run.kind) return { kind: 'differs' };
    if (chunk.kind === 'tool_call') {
      this.#run += 1;
      const { name, arguments: text } = chunk.call;
      const isSame = run.kind === 'tool_call' && run.name === name && run.text === text;
      return { kind: isSame ? 'known' : 'differs' };
    }
    const known = run.text.slice(this.#offset, this.#offset + chunk.text.length);
    if (!chunk.text.startsWith(known)) return { kind: 'differs' };
    this.#offset += known.length;
    if (this.#offset < run.text.length) return { kind: 'known' };
    const rest = chunk.text.slice(known.length);
    // Only the end of what was sent may lie within a piece.
    if (rest !== '' && this.#run < this.#runs.length - 1) return { kind: 'differs' };
    this.#run += 1;
    this.#offset = 0;
    if (rest === '') return { kind: 'known' };
    return { kind: 'new', chunk: { kind: chunk.kind, text: rest } };
  }
}
