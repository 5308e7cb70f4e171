import { RequestError } from '../request-error.js';
import type { FfiModel } from './ffi-model.js';
import { GuardError, Handle } from './handle.js';

/** Longest that one call with a grammar may take; a healthy one takes milliseconds. */
const longestCallMs = 5000;
/** Calls that have been given up and have not come back. Each holds one thread of libuv's pool. */
let stuckCalls = 0;
/** With so many, no further grammar is taken: a thread has to be left for decoding. */
const mostStuckCalls = 2;

/** Calls with grammars that were given up and still hold a thread and a core. */
export function countStuckCalls(): number {
  return stuckCalls;
}

/**
 * A grammar and how far a generation has got in it.
 *
 * llama.cpp's own check of a token against a grammar can take longer than anyone lives, and nothing can interrupt it.
 * So it runs on a thread of its own over a copy of the logits, and is given up after a while: its request fails, and
 * the others never waited for it. Usually the token that is chosen without the grammar fits it, and one token is
 * checked in place of the whole vocabulary.
 */
export class FfiGrammar {
  readonly #model: FfiModel;
  readonly #handle: Handle;
  readonly #candidates: Candidates;
  /** The native call in progress; it may have been given up. */
  #call: Promise<void> | undefined;

  /** @throws RequestError where it is no valid grammar, or no thread is left for one. */
  constructor(model: FfiModel, text: string) {
    if (stuckCalls >= mostStuckCalls) {
      throw new RequestError(
        'unavailable',
        'Grammars of other requests keep the engine busy. Leave the grammar out, or try again later.',
      );
    }
    this.#model = model;
    this.#handle = parseGrammar(model, text);
    this.#candidates = new Candidates(model);
  }

  /**
   * Chooses a token that fits, and goes on from there.
   *
   * @param chain The samplers; they go on too.
   * @throws RequestError where no token fits, or the check takes too long.
   */
  async choose(logits: Float32Array, chain: Handle): Promise<number> {
    const { native } = this.#model;
    const candidates = this.#candidates;
    // The chain changes nothing of its own when it is applied, but for the random numbers that it has drawn.
    candidates.fill(logits);
    native.apply(chain.pointer, candidates.array);
    let token = candidates.selected();
    candidates.fillOne(token);
    await this.#within(native.applySlowly(this.#handle.pointer, candidates.array));
    if (!candidates.isAllowed()) {
      candidates.fill(logits);
      await this.#within(native.applySlowly(this.#handle.pointer, candidates.array));
      if (!candidates.isAllowed()) throw nothingFits();
      native.apply(chain.pointer, candidates.array);
      token = candidates.selected();
      candidates.fillOne(token);
      await this.#within(native.applySlowly(this.#handle.pointer, candidates.array));
      if (!candidates.isAllowed()) throw nothingFits();
    }
    // It fits, so that accepting it cannot fail, which would end the process.
    await this.#within(native.acceptSlowly(this.#handle.pointer, token));
    native.accept(chain.pointer, token);
    return token;
  }

  /** Ends it. Where a native call is in progress it does so when that comes back, and holds nobody up until then. */
  free(): void {
    const end = (): void => {
      this.#handle.free(this.#model.native.freeSampler);
    };
    if (this.#call === undefined) end();
    // The arrays that the call works on are held by this object until then.
    else void this.#call.finally(end).catch(() => undefined);
  }

  async #within(call: Promise<void>): Promise<void> {
    this.#call = call;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(resolve, longestCallMs, 'late');
    });
    const first = await Promise.race([call.then(() => 'done' as const), late]);
    clearTimeout(timer);
    if (first === 'done') {
      this.#call = undefined;
      return;
    }
    stuckCalls += 1;
    void call.catch(() => undefined).then(() => (stuckCalls -= 1));
    throw new RequestError(
      'invalid_request',
      `The grammar is too ambiguous: one token took longer than ${longestCallMs / 1000} s to check. Let fewer alternatives begin with the same characters.`,
    );
  }
}

/** @throws RequestError where it is no valid grammar. */
export function checkGrammar(model: FfiModel, text: string): void {
  parseGrammar(model, text).free(model.native.freeSampler);
}

function parseGrammar(model: FfiModel, text: string): Handle {
  const pointer = text.includes('\0') ? undefined : model.native.makeGrammar(model.vocabulary, text, 'root');
  if (pointer === undefined) {
    throw new RequestError('invalid_request', 'The grammar is not valid GBNF, or has no rule called root.');
  }
  return new Handle('grammar', pointer);
}

function nothingFits(): RequestError {
  return new RequestError(
    'invalid_request',
    'The grammar allows nothing here that this model can write. Change the grammar, or leave it out.',
  );
}

/**
 * A `llama_token_data_array` in our memory.
 *
 * struct llama_token_data { int32_t id; float logit; float p; }
 * struct llama_token_data_array { llama_token_data * data; size_t size; int64_t selected; bool sorted; }
 */
class Candidates {
  readonly array = new BigUint64Array(new ArrayBuffer(32));
  readonly #ids: Int32Array;
  readonly #numbers: Float32Array;
  readonly #address: bigint;
  readonly #header: DataView;

  constructor({ native, vocabularySize }: FfiModel) {
    const data = new ArrayBuffer(12 * vocabularySize);
    this.#ids = new Int32Array(data);
    this.#numbers = new Float32Array(data);
    this.#header = new DataView(this.array.buffer);
    const address: unknown = native.ffi.address(this.#ids);
    if (typeof address !== 'bigint') throw new GuardError('The candidates have no address.');
    this.#address = address;
  }

  fill(logits: Float32Array): void {
    const [ids, numbers] = [this.#ids, this.#numbers];
    for (let token = 0; token < logits.length; token += 1) {
      const at = 3 * token;
      ids[at] = token;
      numbers[at + 1] = logits[token] ?? -Infinity;
      numbers[at + 2] = 0;
    }
    this.#begin(logits.length);
  }

  /** The one token, with a logit that a grammar changes where it does not fit. */
  fillOne(token: number): void {
    this.#ids[0] = token;
    this.#numbers[1] = 1;
    this.#numbers[2] = 0;
    this.#begin(1);
  }

  /** Whether any is left. */
  isAllowed(): boolean {
    for (let index = 0; index < this.#size; index += 1) {
      if ((this.#numbers[3 * index + 1] ?? -Infinity) > -Infinity) return true;
    }
    return false;
  }

  /** The token that a chain has chosen. */
  selected(): number {
    const selected = Number(this.#header.getBigInt64(16, true));
    const token = this.#ids[3 * selected];
    if (selected < 0 || selected >= this.#size || token === undefined) {
      throw new GuardError('The samplers chose nothing.');
    }
    return token;
  }

  get #size(): number {
    return Number(this.array[1] ?? 0n);
  }

  #begin(size: number): void {
    // A sampler may have put its own array in place of ours.
    this.array[0] = this.#address;
    this.array[1] = BigInt(size);
    this.array[2] = BigInt.asUintN(64, -1n);
    this.array[3] = 0n;
  }
}
