import { commonPrefix } from './common-prefix.js';

/** Whose state it is: only requests with the same scope may use it; undefined: everyone's. */
export type Scope = string | undefined;

/** A saved state that could serve a prompt. */
export interface FoundState {
  /** The tokens that the state is of. */
  readonly tokens: readonly number[];
  /** How many of them the prompt begins with. */
  readonly shared: number;
  /** The state itself, or undefined where it can no longer be had. */
  load(): Promise<Uint8Array | undefined>;
}

/** Where states of sequences are kept for later. */
export interface States {
  /** The state that shares most with the begin of `prompt`; undefined: none shares anything. */
  find(prompt: readonly number[], scope: Scope): FoundState | undefined;
  /** Keeps a state. What it is a longer form of may be dropped, and what was used longest ago where room is short. */
  put(tokens: readonly number[], scope: Scope, state: Uint8Array): void;
}

interface Entry {
  readonly tokens: Int32Array;
  readonly scope: Scope;
  readonly state: Uint8Array;
}

/** States in memory, within a bound of bytes. */
export class MemoryStates implements States {
  readonly #mostBytes: number;
  /** Least recently used first. */
  #entries: Entry[] = [];
  #bytes = 0;

  /** @param mostBytes Of states and tokens together; 0: it keeps nothing. */
  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** Bytes that it holds. */
  get bytes(): number {
    return this.#bytes;
  }

  find(prompt: readonly number[], scope: Scope): FoundState | undefined {
    const { entry, shared } = longestOf(this.#entries, prompt, scope) ?? {};
    if (entry === undefined || shared === undefined) return undefined;
    return {
      tokens: Array.from(entry.tokens),
      shared,
      load: async () => {
        if (!this.#entries.includes(entry)) return undefined;
        this.#entries = [...this.#entries.filter((one) => one !== entry), entry];
        return entry.state;
      },
    };
  }

  put(tokens: readonly number[], scope: Scope, state: Uint8Array): void {
    const entry: Entry = { tokens: Int32Array.from(tokens), scope, state };
    if (sizeOf(entry) > this.#mostBytes) return;
    for (const one of this.#entries) {
      if (isBeginOf(one, entry)) this.#drop(one);
      else if (isBeginOf(entry, one)) return;
    }
    while (this.#bytes + sizeOf(entry) > this.#mostBytes) {
      const [oldest] = this.#entries;
      if (oldest === undefined) break;
      this.#drop(oldest);
    }
    this.#entries.push(entry);
    this.#bytes += sizeOf(entry);
  }

  #drop(entry: Entry): void {
    this.#entries = this.#entries.filter((one) => one !== entry);
    this.#bytes -= sizeOf(entry);
  }
}

/** The entry that shares most with the begin of a prompt, and how much. */
export function longestOf<Kept extends { readonly tokens: ArrayLike<number>; readonly scope: Scope }>(
  entries: readonly Kept[],
  prompt: readonly number[],
  scope: Scope,
): { readonly entry: Kept; readonly shared: number } | undefined {
  let best: { readonly entry: Kept; readonly shared: number } | undefined;
  for (const entry of entries) {
    if (entry.scope !== scope) continue;
    const shared = commonPrefix(entry.tokens, prompt);
    if (shared > (best?.shared ?? 0)) best = { entry, shared };
  }
  return best;
}

/** Whether `one` is of the same scope as `other` and the begin of it, or the same. */
export function isBeginOf(
  one: { readonly tokens: ArrayLike<number>; readonly scope: Scope },
  other: { readonly tokens: ArrayLike<number>; readonly scope: Scope },
): boolean {
  return one.scope === other.scope && commonPrefix(one.tokens, other.tokens) === one.tokens.length;
}

function sizeOf({ tokens, state }: Entry): number {
  return tokens.byteLength + state.byteLength;
}
