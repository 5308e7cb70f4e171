import {
  type ControlledEvaluateInputItem,
  getLlama,
  type GgufMetadata,
  type LlamaContextSequence,
  type Token,
} from 'node-llama-cpp';
import { arrangeInfill, fitInfill, suffixFirst } from '../../src/engine/llama/worker/infill.js';

/** An answer of the model: its text up to where it ended, and how likely each of its tokens was. */
export interface ModelAnswer {
  readonly text: string;
  readonly logprobs: readonly number[];
}

/** A model file under evaluation, on one thread, as the product runs it. */
export interface EvaluatedModel {
  /** Greedy fill-in-the-middle. Ends before the first text of `stop`, at the model's end, or after `most` tokens. */
  readonly fill: (before: string, after: string, stop: string, most: number) => Promise<ModelAnswer>;
  /** Bits that a text takes; each token has at least half of the context before it where the text is long enough. */
  readonly bits: (text: string) => Promise<number>;
  /** Tokens a second, greedy, after a prompt of some hundred tokens. */
  readonly speed: () => Promise<number>;
  readonly contextSize: number;
  readonly close: () => Promise<void>;
}

export async function openModel(path: string): Promise<EvaluatedModel> {
  const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, maxThreads: 1 });
  const model = await llama.loadModel({ modelPath: path });
  const contextSize = Math.min(2048, model.trainContextSize);
  const context = await model.createContext({ contextSize, sequences: 1, threads: 1 });
  const sequence = context.getSequence();
  const { prefix, suffix, middle } = model.tokens.infill;
  if (prefix === null || suffix === null) throw new Error('This model does not fill in.');
  const tokens = {
    prefix,
    suffix,
    middle: middle ?? undefined,
    begin: undefined,
    first: orderOf(model.fileInfo.metadata) === suffixFirst ? ('suffix' as const) : ('prefix' as const),
  };

  async function fill(before: string, after: string, stop: string, most: number): Promise<ModelAnswer> {
    const document = { prefix: model.tokenize(before), suffix: model.tokenize(after) };
    const prompt = arrangeInfill(fitInfill(document, contextSize, most), tokens);
    await sequence.clearHistory();
    const made: Token[] = [];
    const logprobs: number[] = [];
    const options = { temperature: 0, yieldEogToken: true } as const;
    const answer = sequence.evaluateWithMetadata(prompt.map(asToken), { confidence: true }, options);
    for await (const { token, confidence } of answer) {
      if (model.isEogToken(token) || isControl(token)) break;
      made.push(token);
      logprobs.push(Math.log(confidence));
      if (made.length >= most || model.detokenize(made).trimStart().includes(stop)) break;
    }
    return { text: model.detokenize(made), logprobs };
  }

  const isControl = (token: Token): boolean => model.getTokenAttributes(token).control;

  return {
    fill,
    bits: (text) => bitsOf(sequence, model.tokenize(text), model.tokens.bos ?? undefined, contextSize),
    speed: async () => {
      const prompt = model.tokenize('const value = compute(input);\n'.repeat(20));
      let count = 0;
      let began = 0;
      await sequence.clearHistory();
      const answer = sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true });
      while (count <= 256 && (await answer.next()).done !== true) {
        if (count === 0) began = performance.now();
        count += 1;
      }
      await answer.return(undefined);
      return ((count - 1) * 1000) / (performance.now() - began);
    },
    contextSize,
    close: async () => {
      await context.dispose();
      await model.dispose();
      await llama.dispose();
    },
  };
}

async function bitsOf(
  sequence: LlamaContextSequence,
  tokens: readonly Token[],
  begin: Token | undefined,
  contextSize: number,
): Promise<number> {
  const all = begin === undefined ? tokens : [begin, ...tokens];
  let bits = 0;
  const half = Math.floor(contextSize / 2);
  for (let start = 0; start < all.length - 1; start += half) {
    const window = all.slice(start, start + contextSize);
    // The first half of each window but the first was counted in the one before.
    await sequence.clearHistory();
    const first = start === 0 ? 0 : half - 1;
    const asked = window
      .slice(0, -1)
      .map((token, index): ControlledEvaluateInputItem =>
        index >= first ? [token, { generateNext: { probabilities: true } }] : token,
      );
    const results = await sequence.controlledEvaluate(asked);
    for (const [index, result] of results.entries()) {
      const next = window[index + 1];
      if (result === undefined || next === undefined) continue;
      bits -= Math.log2(Math.max(result.next.probabilities?.get(next) ?? 0, 1e-12));
    }
    if (start + contextSize >= all.length) break;
  }
  return bits;
}

/** What the file says of the order in which it fills in best: see `infillOrderKey`. */
function orderOf(metadata: GgufMetadata): unknown {
  const hearth: unknown = Reflect.get(metadata, 'hearth');
  return typeof hearth === 'object' && hearth !== null ? Reflect.get(hearth, 'infill_order') : undefined;
}

/** Tokens were numbers of this model's vocabulary before they were arranged. */
function asToken(token: number): Token {
  return token as Token;
}
