import type { Pointer, Struct } from './binder.js';
import type { FfiModel } from './ffi-model.js';
import { GuardError, Handle, requireRange } from './handle.js';
import type { Native } from './native.js';
import type { StepWatch } from './step-watch.js';
import type { Threadpool } from './threadpool.js';

/** What a {@link FfiContext} is made with. */
export interface ContextOptions {
  readonly sequences: number;
  /**
   * Tokens of context for each sequence. Each has a part of the memory of its own: in one for all, every step would look
   * at the cells of all sequences, those that only keep what an earlier request left too.
   */
  readonly contextSize: number;
  /** Most tokens of one decode. */
  readonly batchSize: number;
  /** Most tokens of one decode whose outcome is wanted. */
  readonly outputs: number;
  readonly threads: number;
  /** Keys and values are kept in Q8_0, which the model's heads have to fit. @default half floats */
  readonly quantised?: boolean;
  /** Present: the context gives embeddings; a value of llama.cpp's `llama_pooling_type`. */
  readonly pooling?: number;
  /** Ends what this thread itself decodes. Absent: it never does. */
  readonly watch?: StepWatch;
}

/** One token of a batch. */
export interface BatchToken {
  readonly token: number;
  readonly sequence: number;
  readonly position: number;
  /** Whether what follows it is wanted. */
  readonly output: boolean;
}

/** `full`: the context's memory has no room. Then, and when aborted, nothing of the batch is kept. */
export type DecodeOutcome = 'done' | 'aborted' | 'full';

/** Q8_0 by ggml's number. Values in it want the attention that is computed in one pass. */
const quantisedContext = { type_k: 8, type_v: 8, flash_attn_type: 1 } as const;

/** The widest number of sequences that llama.cpp takes. */
export const mostSequences = 256;

/**
 * A context and everything that may be asked of it. Decodes go one after the other; nothing else is done while one is
 * in progress; it ends only when none is.
 */
export class FfiContext {
  readonly options: ContextOptions;
  readonly #native: Native;
  readonly #model: FfiModel;
  readonly #handle: Handle;
  readonly #memory: Pointer | undefined;
  readonly #batch: Batch;
  readonly #flag: Uint32Array;
  /** Places in the last batch that have an outcome. */
  #outputs: ReadonlySet<number> = new Set();
  /** Sequences that have a pooled embedding. */
  #pooled: ReadonlySet<number> = new Set();
  /** Sequences whose cells are copied when the next decode begins: from these, to those. */
  readonly #copiedFrom = new Set<number>();
  readonly #copiedTo = new Set<number>();
  #queue: Promise<unknown> = Promise.resolve();
  #isDecoding = false;
  #ending: Promise<void> | undefined;
  #pool: Threadpool | undefined;

  private constructor(model: FfiModel, pointer: Pointer | undefined, options: ContextOptions) {
    this.options = options;
    this.#model = model;
    this.#native = model.native;
    this.#handle = new Handle('context', pointer);
    this.#memory = this.#native.memory(this.#handle.pointer);
    this.#batch = new Batch(this.#native, options.batchSize);
    this.#flag = options.watch?.flag ?? new Uint32Array(new ArrayBuffer(8));
    const flag: unknown = this.#native.ffi.address(this.#flag);
    if (typeof flag === 'bigint') this.#native.setAbort(this.#handle.pointer, this.#native.readFlag, flag);
    model.countContext(1);
  }

  /** Makes a context, or gives undefined where llama.cpp could not: most often for want of memory. */
  static async open(model: FfiModel, options: ContextOptions): Promise<FfiContext | undefined> {
    const { native } = model;
    requireRange('number of sequences', options.sequences, 1, mostSequences);
    requireRange('context size', options.contextSize, 1, 2 ** 30 / options.sequences);
    requireRange('batch size', options.batchSize, 1, 65_536);
    requireRange('number of outputs', options.outputs, 1, options.batchSize);
    const pointer = await native.makeContext(model.pointer, {
      ...native.contextDefaults(),
      n_ctx: options.contextSize * options.sequences,
      n_batch: options.batchSize,
      n_ubatch: options.batchSize,
      n_seq_max: options.sequences,
      n_outputs_max: options.outputs,
      n_threads: options.threads,
      n_threads_batch: options.threads,
      kv_unified: false,
      ...(options.quantised === true ? quantisedContext : {}),
      ...(options.pooling === undefined ? {} : { embeddings: true, pooling_type: options.pooling }),
    });
    return pointer === undefined ? undefined : new FfiContext(model, pointer, options);
  }

  get isDecoding(): boolean {
    return this.#isDecoding;
  }

  /**
   * Evaluates `tokens` in one batch, after whatever is in progress.
   *
   * @param inPlaceMs Present: this thread computes it, where it has a watch, and is held up until the end; after so many
   *   milliseconds that is an aborted one. Infinity: it may take as long as it does. Absent: another thread computes it.
   * @throws GuardError where a token, sequence, position or count is out of range, or the context has ended.
   */
  decode(tokens: readonly BatchToken[], inPlaceMs?: number): Promise<DecodeOutcome> {
    this.#check(tokens);
    const turn = this.#queue.then(() => this.#decode(tokens, inPlaceMs));
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  /** Asks the decode in progress to end now. It does nothing to the next one. */
  abort(): void {
    if (this.#isDecoding) this.#flag[0] = 1;
  }

  /** Lets every decode end at once, or no longer. For the self-test. */
  set abortsAll(isOn: boolean) {
    this.#alwaysAborts = isOn;
  }
  #alwaysAborts = false;

  /** The address of the outcome at a place of the last batch. */
  requireOutput(place: number): Pointer {
    this.requireIdle();
    if (!this.#outputs.has(place)) throw new GuardError(`There is no outcome at ${place} of the last batch.`);
    return this.#handle.pointer;
  }

  /** A copy of the logits at a place of the last batch. */
  logits(place: number): Float32Array {
    const address = this.#native.logits(this.requireOutput(place), place);
    return this.#copyFloats(address, this.#model.vocabularySize);
  }

  /** A copy of the pooled embedding of a sequence of the last batch. `width`: numbers of it. */
  pooledEmbedding(sequence: number, width: number): Float32Array {
    this.requireIdle();
    if (!this.#pooled.has(sequence)) throw new GuardError(`Sequence ${sequence} has no embedding.`);
    return this.#copyFloats(this.#native.pooledEmbedding(this.#handle.pointer, sequence), width);
  }

  /** A copy of the embedding at a place of the last batch, for contexts that do not pool. */
  tokenEmbedding(place: number, width: number): Float32Array {
    const pointer = this.requireOutput(place);
    return this.#copyFloats(this.#native.tokenEmbedding(pointer, place), width);
  }

  /**
   * Forgets what a sequence holds from `from` on. False: this model cannot forget a part, and the sequence holds
   * what it did.
   */
  truncate(sequence: number, from: number): boolean {
    this.#requireSequence(sequence);
    requireRange('position', from, 0, 2 ** 30);
    const memory = this.#idleMemory();
    return memory === undefined || this.#native.removeRange(memory, sequence, from, -1);
  }

  /**
   * Gives `to`, which must be empty, the first `length` tokens of `from`. The cells follow when the next decode begins.
   * Only whole sequences can be copied (a part ends the process), so the rest is forgotten at once.
   */
  copy(from: number, to: number, length: number): void {
    this.#requireSequence(from);
    this.#requireSequence(to);
    requireRange('length', length, 1, 2 ** 30);
    const memory = this.#idleMemory();
    if (memory === undefined || from === to) throw new GuardError('There is nothing to copy.');
    this.#native.copyRange(memory, from, to, -1, -1);
    this.#copiedFrom.add(from);
    this.#copiedTo.add(to);
    this.truncate(to, length);
  }

  /** Forgets everything. */
  clear(): void {
    const memory = this.#idleMemory();
    if (memory !== undefined) this.#native.clearMemory(memory, false);
  }

  /** The last position that a sequence holds, -1 where it holds none. */
  lastPosition(sequence: number): number {
    this.#requireSequence(sequence);
    const memory = this.#idleMemory();
    return memory === undefined ? -1 : this.#native.lastPosition(memory, sequence);
  }

  /** Bytes that {@link readState} of a sequence would have. */
  stateSize(sequence: number): number {
    this.#requireSequence(sequence);
    this.requireIdle();
    return this.#native.stateSize(this.#handle.pointer, sequence);
  }

  /** What a sequence holds, or undefined where it cannot be had. */
  readState(sequence: number): Uint8Array | undefined {
    // Its cells do not hold yet what they are said to.
    if (this.#copiedTo.has(sequence)) return undefined;
    const size = this.stateSize(sequence);
    if (size === 0 || size > 2 ** 31) return undefined;
    const state = new Uint8Array(new ArrayBuffer(size));
    const written = this.#native.readState(this.#handle.pointer, state, state.length, sequence);
    return written === state.length ? state : undefined;
  }

  /**
   * Puts what {@link readState} gave into a sequence that is empty. False: it does not fit, or a copy from or to its
   * cells is still to be made, and it is empty.
   */
  writeState(sequence: number, state: Uint8Array): boolean {
    this.#requireSequence(sequence);
    this.requireIdle();
    if (state.length === 0 || this.#copiedFrom.has(sequence) || this.#copiedTo.has(sequence)) return false;
    const read = this.#native.writeState(this.#handle.pointer, state, state.length, sequence);
    if (read === state.length) return true;
    this.truncate(sequence, 0);
    return false;
  }

  /** Threads from now on. More than one come from the pool; it is let go for one, whose decode it would only disturb. */
  setThreads(count: number, pool: Threadpool | undefined): void {
    this.requireIdle();
    requireRange('number of threads', count, 1, pool?.threads ?? 64);
    const { pointer } = this.#handle;
    const wanted = count > 1 ? pool : undefined;
    if (wanted !== this.#pool) {
      if (wanted === undefined) this.#native.detachThreadpool(pointer);
      else this.#native.attachThreadpool(pointer, wanted.pointer, wanted.pointer);
      this.#pool = wanted;
    }
    this.#native.setThreads(pointer, count, count);
  }

  /** Ends the context after what is in progress. */
  free(): Promise<void> {
    this.#ending ??= this.#queue.then(() => {
      const { pointer } = this.#handle;
      if (this.#pool !== undefined) this.#native.detachThreadpool(pointer);
      this.#pool = undefined;
      this.#outputs = new Set();
      this.#handle.free(this.#native.freeContext);
      this.#model.countContext(-1);
    });
    return this.#ending;
  }

  /** @throws GuardError while a decode is in progress, or after the end. */
  requireIdle(): void {
    this.#handle.requireLife();
    if (this.#isDecoding) throw new GuardError('A decode is in progress.');
  }

  async #decode(tokens: readonly BatchToken[], inPlaceMs: number | undefined): Promise<DecodeOutcome> {
    this.requireIdle();
    this.#outputs = new Set();
    this.#pooled = new Set();
    const batch = this.#batch.fill(tokens);
    this.#flag[0] = this.#alwaysAborts ? 1 : 0;
    this.#isDecoding = true;
    let code: number;
    try {
      code = await this.#compute(batch, inPlaceMs);
    } finally {
      this.#isDecoding = false;
    }
    if (code === 0 || code === 1 || code === 2) {
      this.#copiedFrom.clear();
      this.#copiedTo.clear();
    }
    if (code === 1) return 'full';
    if (code === 2) {
      this.#takeBack(tokens);
      return 'aborted';
    }
    if (code !== 0) throw new Error(`llama_decode gave ${code}`);
    this.#outputs = new Set(tokens.flatMap(({ output }, place) => (output ? [place] : [])));
    const pools = (this.options.pooling ?? 0) > 0;
    this.#pooled = new Set(pools ? tokens.map(({ sequence }) => sequence) : []);
    return 'done';
  }

  /** Another thread has to be woken, and to wake this one, for each step: beside a short one that is a lot. */
  #compute(batch: Struct, inPlaceMs: number | undefined): number | Promise<number> {
    const { pointer } = this.#handle;
    const { watch } = this.options;
    if (inPlaceMs === undefined || watch?.isAlive !== true) return this.#native.decode(pointer, batch);
    return watch.during(inPlaceMs, () => this.#native.decodeInPlace(pointer, batch));
  }

  /** Forgets what an aborted decode has done: llama.cpp keeps the parts of the batch that were ready. */
  #takeBack(tokens: readonly BatchToken[]): void {
    const firsts = new Map<number, number>();
    for (const { sequence, position } of tokens) {
      firsts.set(sequence, Math.min(position, firsts.get(sequence) ?? position));
    }
    for (const [sequence, first] of firsts) this.truncate(sequence, first);
  }

  #check(tokens: readonly BatchToken[]): void {
    if (this.#ending !== undefined) throw new GuardError('The context has ended.');
    requireRange('number of tokens', tokens.length, 1, this.options.batchSize);
    let outputs = 0;
    for (const { token, sequence, position, output } of tokens) {
      this.#model.requireToken(token);
      this.#requireSequence(sequence);
      requireRange('position', position, 0, this.options.contextSize - 1);
      if (output) outputs += 1;
    }
    requireRange('number of outputs', outputs, 0, this.options.outputs);
  }

  #requireSequence(sequence: number): void {
    requireRange('sequence', sequence, 0, this.options.sequences - 1);
  }

  /** A model without a memory has none to change. */
  #idleMemory(): Pointer | undefined {
    this.requireIdle();
    return this.#memory;
  }

  #copyFloats(address: Pointer | undefined, count: number): Float32Array {
    if (address === undefined) throw new GuardError('llama.cpp has no numbers there.');
    const copy: unknown = this.#native.ffi.decode(address, 'float', count);
    if (!(copy instanceof Float32Array)) throw new TypeError('no numbers came');
    return copy;
  }
}

/** The arrays of one `llama_batch`, written in place: their addresses stay. */
class Batch {
  readonly #tokens: Int32Array;
  readonly #positions: Int32Array;
  readonly #sequences: Int32Array;
  readonly #outputs: Int8Array;
  /** Held as long as the batch: the native struct points into them. */
  protected readonly arrays: readonly ArrayBufferView[];
  readonly #struct: Record<string, number | bigint | null>;

  constructor({ ffi }: Native, size: number) {
    // Explicit buffers: small typed arrays may lie on V8's heap, where they move.
    this.#tokens = new Int32Array(new ArrayBuffer(4 * size));
    this.#positions = new Int32Array(new ArrayBuffer(4 * size));
    this.#sequences = new Int32Array(new ArrayBuffer(4 * size));
    this.#outputs = new Int8Array(new ArrayBuffer(size));
    const counts = new Int32Array(new ArrayBuffer(4 * size)).fill(1);
    const addresses = new BigUint64Array(new ArrayBuffer(8 * size));
    const addressOf = (array: ArrayBufferView): bigint => {
      const address: unknown = ffi.address(array);
      if (typeof address !== 'bigint') throw new TypeError('an array has no address');
      return address;
    };
    const first = addressOf(this.#sequences);
    for (let index = 0; index < size; index += 1) addresses[index] = first + BigInt(4 * index);
    this.arrays = [this.#tokens, this.#positions, this.#sequences, this.#outputs, counts, addresses];
    this.#struct = {
      n_tokens: 0,
      token: addressOf(this.#tokens),
      embd: null,
      pos: addressOf(this.#positions),
      n_seq_id: addressOf(counts),
      seq_id: addressOf(addresses),
      logits: addressOf(this.#outputs),
    };
  }

  fill(tokens: readonly BatchToken[]): Record<string, number | bigint | null> {
    requireRange('number of tokens', tokens.length, 1, this.#tokens.length);
    for (const [place, { token, position, sequence, output }] of tokens.entries()) {
      this.#tokens[place] = token;
      this.#positions[place] = position;
      this.#sequences[place] = sequence;
      this.#outputs[place] = output ? 1 : 0;
    }
    this.#struct['n_tokens'] = tokens.length;
    return this.#struct;
  }
}
