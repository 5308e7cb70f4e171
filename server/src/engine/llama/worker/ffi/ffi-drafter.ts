import { commonPrefix } from '../kv/common-prefix.js';
import type { DraftItem, Drafter, Drafts } from '../driver.js';
import type { BatchToken, DecodeOutcome, FfiContext } from './ffi-context.js';
import type { FfiModel } from './ffi-model.js';
import { FfiSequence } from './ffi-sequence.js';
import { GreedySampler } from './greedy-sampler.js';
import type { Threadpool } from './threadpool.js';

/** Tokens that one call evaluates to come up with the texts: streams wait meanwhile. */
const catchUpTokens = 64;

export interface FfiDrafterOptions {
  readonly name: string;
  readonly sequences: number;
  readonly pool: Threadpool | undefined;
  /** Threads for the next decode. */
  readonly threads: () => number;
  /** Runs work when nothing else decodes. */
  readonly exclusively: <Result>(work: () => Promise<Result>) => Promise<Result>;
}

/** A text that the model is as far as: what is left of it, and what was guessed behind it. */
interface Open {
  readonly sequence: FfiSequence;
  readonly most: number;
  readonly guess: number[];
  next: readonly number[];
}

/** A smaller model of the same vocabulary that guesses greedily, for all streams in one batch a token. */
export class FfiDrafter implements Drafter {
  readonly name: string;
  readonly #context: FfiContext;
  readonly #options: FfiDrafterOptions;
  readonly #greedy: GreedySampler;
  readonly #model: FfiModel;
  /** By the number of the sequence that they guess for. */
  readonly #sequences: readonly FfiSequence[];
  #threads = 1;

  constructor(model: FfiModel, context: FfiContext, options: FfiDrafterOptions) {
    this.name = options.name;
    this.#model = model;
    this.#context = context;
    this.#options = options;
    this.#greedy = new GreedySampler(model, context);
    this.#sequences = Array.from({ length: options.sequences }, (_, id) => new FfiSequence(context, id));
  }

  async draft(items: readonly DraftItem[]): Promise<Drafts> {
    const rests = items.map((item) => this.#restOf(item));
    const guesses = items.map((): number[] => []);
    const behind = rests.reduce((sum, { rest }) => sum + rest.length - 1, 0);
    const isBehind = behind > catchUpTokens;
    if (isBehind) {
      await this.#catchUp(rests);
      return { drafts: guesses, isBehind };
    }
    let open = rests.map(({ sequence, rest }, index): Open => ({
      sequence,
      next: rest,
      most: items[index]?.most ?? 0,
      guess: guesses[index] ?? [],
    }));
    while (open.length > 0) {
      const tokens = await this.#step(open);
      if (tokens === undefined) break;
      open = open.filter((one, index) => {
        const token = tokens[index];
        if (token === undefined || this.#model.isEnd(token)) return false;
        one.guess.push(token);
        one.next = [token];
        return one.guess.length < one.most;
      });
    }
    return { drafts: guesses, isBehind };
  }

  /** Ends the call in progress early. */
  interrupt(): void {
    this.#context.abort();
  }

  /** What of a text is not evaluated yet, its last token at least; what else was there is forgotten. */
  #restOf({ sequence, tokens }: DraftItem): { sequence: FfiSequence; rest: readonly number[] } {
    const own = sequence instanceof FfiSequence ? this.#sequences[sequence.id] : undefined;
    if (own === undefined) throw new TypeError('a sequence of another driver');
    own.cut(Math.min(commonPrefix(own.tokens(), tokens), tokens.length - 1));
    return { sequence: own, rest: tokens.slice(own.tokens().length) };
  }

  /** Evaluates a piece of what is missing. The last token of a text stays, as it is to be followed. */
  async #catchUp(
    rests: readonly { readonly sequence: FfiSequence; readonly rest: readonly number[] }[],
  ): Promise<void> {
    let room = catchUpTokens;
    const parts: { readonly sequence: FfiSequence; readonly part: readonly number[] }[] = [];
    for (const { sequence, rest } of rests) {
      const part = rest.slice(0, Math.min(rest.length - 1, room));
      room -= part.length;
      if (part.length > 0) parts.push({ sequence, part });
    }
    const batch = parts.flatMap(({ sequence, part }) => batchOf(sequence, part, false));
    if ((await this.#decode(batch)) !== 'done') return;
    for (const { sequence, part } of parts) sequence.append(part);
  }

  /** The token that follows each; undefined where it was interrupted. */
  async #step(open: readonly Open[]): Promise<readonly number[] | undefined> {
    const batch: BatchToken[] = [];
    const places = open.map(({ sequence, next }) => {
      batch.push(...batchOf(sequence, next, true));
      return batch.length - 1;
    });
    if ((await this.#decode(batch)) !== 'done') return undefined;
    for (const { sequence, next } of open) sequence.append(next);
    return places.map((place) => this.#greedy.sample(place));
  }

  #decode(batch: readonly BatchToken[]): Promise<DecodeOutcome> {
    const { exclusively, threads, pool } = this.#options;
    return exclusively(() => {
      const count = threads();
      if (count !== this.#threads) this.#context.setThreads(count, pool);
      this.#threads = count;
      return this.#context.decode(batch);
    });
  }
}

/** `tokens` behind what a sequence holds. */
function batchOf(sequence: FfiSequence, tokens: readonly number[], wanted: boolean): readonly BatchToken[] {
  const start = sequence.tokens().length;
  return tokens.map((token, index) => ({
    token,
    sequence: sequence.id,
    position: start + index,
    output: wanted && index === tokens.length - 1,
  }));
}
