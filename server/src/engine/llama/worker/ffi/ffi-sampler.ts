import type { ResolvedSampling, SampledToken } from '../driver.js';
import type { Pointer } from './binder.js';
import type { FfiContext } from './ffi-context.js';
import { FfiGrammar } from './ffi-grammar.js';
import type { FfiModel } from './ffi-model.js';
import { GuardError, Handle } from './handle.js';
import { tokenLogprob } from './logprobs.js';

/** Tokens on which DRY begins anew. Source: the defaults of llama.cpp. */
const dryBreakers = ['\n', ':', '"', '*'];

/** Chooses the tokens of one generation: a chain of llama.cpp's samplers, and a grammar beside it. */
export class FfiSampler {
  readonly #model: FfiModel;
  readonly #context: FfiContext;
  readonly #chain: Handle;
  readonly #grammar: FfiGrammar | undefined;
  readonly #logprobs: number | undefined;
  /** Held as long as the chain: native code may point into them. */
  protected readonly kept: readonly ArrayBufferView[];

  /**
   * @param prompt What the penalties see as written already; its end is enough.
   * @param grammar GBNF that has been found valid.
   */
  constructor(
    model: FfiModel,
    context: FfiContext,
    sampling: ResolvedSampling,
    prompt: readonly number[],
    grammar: string | undefined,
  ) {
    this.#model = model;
    this.#context = context;
    this.#logprobs = sampling.logprobs;
    const { chain, kept } = makeChain(model, sampling);
    this.#chain = chain;
    this.kept = kept;
    try {
      this.#grammar = grammar === undefined ? undefined : new FfiGrammar(model, grammar);
      const seen = Math.max(
        isNeutral(sampling) ? 0 : sampling.penalties.lastN,
        sampling.dry === undefined ? 0 : sampling.dry.lastN,
      );
      if (seen > 0) for (const token of prompt.slice(-seen)) this.#accept(token);
    } catch (error) {
      this.free();
      throw error;
    }
  }

  /**
   * Chooses what follows a place of the last batch, and goes on from there.
   *
   * @throws RequestError where the grammar allows nothing, or takes too long.
   */
  async sample(place: number): Promise<SampledToken> {
    if (this.#grammar === undefined && this.#logprobs === undefined) {
      const { native } = this.#model;
      return { token: native.sample(this.#chain.pointer, this.#context.requireOutput(place), place) };
    }
    const logits = this.#context.logits(place);
    const token =
      this.#grammar === undefined
        ? this.#model.native.sample(this.#chain.pointer, this.#context.requireOutput(place), place)
        : await this.#grammar.choose(logits, this.#chain);
    if (this.#logprobs === undefined) return { token };
    return { token, logprob: tokenLogprob(logits, token, this.#logprobs) };
  }

  /** Whether choosing a token may take long. */
  get isSlow(): boolean {
    return this.#grammar !== undefined;
  }

  /** Ends it. */
  free(): void {
    this.#grammar?.free();
    this.#chain.free(this.#model.native.freeSampler);
  }

  #accept(token: number): void {
    this.#model.requireToken(token);
    this.#model.native.accept(this.#chain.pointer, token);
  }
}

function isNeutral({ penalties }: ResolvedSampling): boolean {
  return (
    penalties.lastN === 0 || (penalties.repeat === 1 && penalties.presence === 0 && penalties.frequency === 0)
  );
}

/** The chain, in llama.cpp's own order: what changes logits, then what cuts, then what chooses. */
function makeChain(
  model: FfiModel,
  sampling: ResolvedSampling,
): { readonly chain: Handle; readonly kept: readonly ArrayBufferView[] } {
  const { native } = model;
  const kept: ArrayBufferView[] = [];
  const chain = new Handle('sampler', native.makeChain({ ...native.chainDefaults(), no_perf: true }));
  const add = (sampler: Pointer | undefined): void => {
    if (sampler === undefined) throw new GuardError('llama.cpp made no sampler.');
    native.addToChain(chain.pointer, sampler);
  };
  const { logitBias, penalties, dry, seed, temperature } = sampling;
  if (logitBias.length > 0) {
    for (const { token } of logitBias) model.requireToken(token);
    // struct llama_logit_bias { int32_t token; float bias; }
    const biases = new DataView(new ArrayBuffer(8 * logitBias.length));
    for (const [index, { token, bias }] of logitBias.entries()) {
      biases.setInt32(8 * index, token, true);
      biases.setFloat32(8 * index + 4, bias <= bans ? -Infinity : bias, true);
    }
    add(native.makeLogitBias(model.vocabularySize, logitBias.length, biases));
  }
  if (!isNeutral(sampling)) {
    const { lastN, repeat, frequency, presence } = penalties;
    add(native.makePenalties(model.vocabularySize, lastN, repeat, frequency, presence));
  }
  if (dry !== undefined) {
    const texts = dryBreakers.map((text) => Buffer.from(`${text}\0`, 'utf8'));
    const bytes = new Uint8Array(new ArrayBuffer(texts.reduce((sum, { length }) => sum + length, 0)));
    const pointers = new BigUint64Array(new ArrayBuffer(8 * texts.length));
    const address: unknown = native.ffi.address(bytes);
    let offset = 0;
    for (const [index, text] of texts.entries()) {
      bytes.set(text, offset);
      pointers[index] = (typeof address === 'bigint' ? address : 0n) + BigInt(offset);
      offset += text.length;
    }
    kept.push(bytes, pointers);
    const { multiplier, base, allowedLength, lastN } = dry;
    add(native.makeDry(model.vocabulary, multiplier, base, allowedLength, lastN, pointers, texts.length));
  }
  for (const sampler of choosers(model, sampling, seed, temperature)) add(sampler);
  return { chain, kept };
}

/** A bias of so much bans the token. */
const bans = -100;

function* choosers(
  { native, vocabularySize }: FfiModel,
  { mirostat, topK, typicalP, topP, minP, xtc }: ResolvedSampling,
  seed: number,
  temperature: number,
): Generator<Pointer | undefined, void, void> {
  if (temperature <= 0) {
    yield native.makeGreedy();
    return;
  }
  if (mirostat !== undefined) {
    const { version, tau, eta } = mirostat;
    yield native.makeTemperature(temperature);
    yield version === 1
      ? native.makeMirostat(vocabularySize, seed, tau, eta, 100)
      : native.makeMirostat2(seed, tau, eta);
    return;
  }
  if (topK > 0) yield native.makeTopK(Math.min(topK, vocabularySize));
  if (typicalP < 1) yield native.makeTypical(typicalP, 1);
  if (topP < 1) yield native.makeTopP(topP, 1);
  if (minP > 0) yield native.makeMinP(minP, 1);
  if (xtc !== undefined) yield native.makeXtc(xtc.probability, xtc.threshold, 1, seed);
  yield native.makeTemperature(temperature);
  yield native.makeDistribution(seed);
}
