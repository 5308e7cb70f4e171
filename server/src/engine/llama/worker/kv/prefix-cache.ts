import type { Sequence } from '../driver.js';
import { commonPrefix } from './common-prefix.js';
import type { FoundState, Scope, States } from './states.js';

/**
 * Chooses the sequence for a prompt, and fills it with as much of the prompt's state as is to be had: what a free
 * sequence holds, what another one holds, busy or not, or what was saved. What a sequence held before, and would be
 * lost, is saved first.
 */
export interface PrefixCacheOptions {
  readonly sequences: readonly Sequence[];
  /** In the order in which they are asked. */
  readonly states: readonly States[];
}

/** Fewer tokens are not worth a copy, which moves the whole memory of a sequence. */
const leastCopied = 32;
/** Fewer tokens are not worth saving. */
const leastSaved = 64;

/** A sequence that a request has, with the begin of its prompt in it. */
export interface Placed {
  readonly sequence: Sequence;
  /** Tokens of the prompt that it holds. */
  readonly held: number;
}

export class PrefixCache {
  readonly #options: PrefixCacheOptions;
  readonly #scopes = new Map<Sequence, Scope>();
  /** How much of a sequence is in a saved state. */
  readonly #saved = new Map<Sequence, number>();
  /** Least recently used first. */
  #free: Sequence[];

  constructor(options: PrefixCacheOptions) {
    this.#options = options;
    this.#free = [...options.sequences];
  }

  get hasFree(): boolean {
    return this.#free.length > 0;
  }

  /**
   * Takes a free sequence for a prompt. No step may be in progress.
   *
   * The last token of a prompt is always evaluated again, since its outcome is not kept.
   */
  async place(prompt: readonly number[], scope: Scope): Promise<Placed> {
    const most = prompt.length - 1;
    const own = this.#ownPrefix(prompt, scope, most);
    const other = this.#otherPrefix(prompt, scope, most);
    const stored = this.#storedPrefix(prompt, scope, most);
    const best = Math.max(other?.shared ?? 0, stored?.shared ?? 0);
    const sequence = this.#leastWorth(prompt, scope);
    if (own !== undefined && own.shared + leastCopied > best) {
      // Where much of another text would be lost with it, a copy goes to a sequence that loses less.
      const lost = own.sequence.tokens().length - own.shared;
      const isDear = lost >= leastSaved && own.shared >= leastCopied && sequence.tokens().length < lost;
      if (isDear && sequence !== own.sequence) {
        this.#save(sequence, 0);
        if (sequence.copyFrom(own.sequence, own.shared)) return this.#take(sequence, scope, own.shared);
      }
      return this.#take(own.sequence, scope, own.shared);
    }
    if (stored !== undefined && stored.shared > (other?.shared ?? 0) + leastCopied) {
      const state = await stored.load();
      if (state !== undefined) return this.#restore(sequence, scope, stored, state);
    }
    if (other === undefined || other.sequence === sequence || other.shared < leastCopied) {
      return this.#take(own?.sequence ?? sequence, scope, own?.shared ?? 0);
    }
    this.#save(sequence, 0);
    const copied = sequence.copyFrom(other.sequence, other.shared);
    return this.#take(sequence, scope, copied ? other.shared : 0);
  }

  /** Gives more of its prompt to a sequence that is in use, where another one has it by now; gives what it holds. */
  extend(sequence: Sequence, prompt: readonly number[], held: number): number {
    const scope = this.#scopes.get(sequence);
    let best: { readonly from: Sequence; readonly shared: number } | undefined;
    for (const from of this.#options.sequences) {
      if (from === sequence || this.#scopes.get(from) !== scope) continue;
      const shared = Math.min(commonPrefix(from.tokens(), prompt), prompt.length - 1);
      if (shared >= held + leastCopied && shared > (best?.shared ?? 0)) best = { from, shared };
    }
    if (best === undefined) return held;
    return sequence.copyFrom(best.from, best.shared) ? best.shared : sequence.tokens().length;
  }

  /** Gives a sequence back. What it holds stays for whoever begins alike. */
  release(sequence: Sequence): void {
    this.#free.push(sequence);
  }

  /** Forgets what was known of a sequence that was reset. */
  forget(sequence: Sequence): void {
    this.#saved.delete(sequence);
  }

  /** Saves what free sequences hold and no saved state does, for the time after this process. */
  saveAll(): void {
    for (const sequence of this.#free) this.#save(sequence, 0);
  }

  #ownPrefix(prompt: readonly number[], scope: Scope, most: number) {
    let best: { readonly sequence: Sequence; readonly shared: number } | undefined;
    for (const sequence of this.#free) {
      const isSame = this.#scopes.get(sequence) === scope;
      const shared = isSame ? Math.min(commonPrefix(sequence.tokens(), prompt), most) : 0;
      if (shared > (best?.shared ?? 0)) best = { sequence, shared };
    }
    return best;
  }

  #otherPrefix(prompt: readonly number[], scope: Scope, most: number) {
    let best: { readonly sequence: Sequence; readonly shared: number } | undefined;
    for (const sequence of this.#options.sequences) {
      if (this.#scopes.get(sequence) !== scope) continue;
      const shared = Math.min(commonPrefix(sequence.tokens(), prompt), most);
      if (shared > (best?.shared ?? 0)) best = { sequence, shared };
    }
    return best;
  }

  #storedPrefix(prompt: readonly number[], scope: Scope, most: number): FoundState | undefined {
    let best: FoundState | undefined;
    for (const states of this.#options.states) {
      const found = states.find(prompt, scope);
      if (found === undefined) continue;
      const shared = Math.min(found.shared, most);
      if (shared > (best?.shared ?? 0)) best = { ...found, shared };
    }
    return best;
  }

  /** The free sequence to overwrite: one that is empty, or the one used longest ago, but not the prompt's own begin. */
  #leastWorth(prompt: readonly number[], scope: Scope): Sequence {
    const empty = this.#free.find((one) => one.tokens().length === 0);
    const foreign = this.#free.find(
      (one) => this.#scopes.get(one) !== scope || commonPrefix(one.tokens(), prompt) < leastCopied,
    );
    const chosen = empty ?? foreign ?? this.#free[0];
    if (chosen === undefined) throw new Error('no sequence is free');
    return chosen;
  }

  async #restore(sequence: Sequence, scope: Scope, stored: FoundState, state: Uint8Array): Promise<Placed> {
    this.#save(sequence, 0);
    const isLoaded = sequence.load(state, stored.tokens);
    const placed = await this.#take(sequence, scope, isLoaded ? stored.shared : 0);
    if (isLoaded) this.#saved.set(sequence, placed.held);
    return placed;
  }

  async #take(sequence: Sequence, scope: Scope, shared: number): Promise<Placed> {
    this.#free = this.#free.filter((one) => one !== sequence);
    // What follows the shared part is lost where another text takes its place.
    this.#save(sequence, shared);
    await sequence.truncate(shared);
    this.#scopes.set(sequence, scope);
    const held = sequence.tokens().length;
    this.#saved.set(sequence, Math.min(this.#saved.get(sequence) ?? 0, held));
    return { sequence, held };
  }

  /** Saves a sequence unless all but a little of what would be lost is saved already. */
  #save(sequence: Sequence, kept: number): void {
    const tokens = sequence.tokens();
    const safe = Math.max(kept, this.#saved.get(sequence) ?? 0);
    if (this.#options.states.length === 0 || tokens.length - safe < leastSaved) return;
    const state = sequence.save();
    if (state === undefined) return;
    const scope = this.#scopes.get(sequence);
    for (const states of this.#options.states) states.put(tokens, scope, state);
    this.#saved.set(sequence, tokens.length);
  }
}
