import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { table } from './corpus/report.js';
import { runPython } from './python.js';

/** What a short run differs in from the model as it is: one thing each. */
export interface Variation {
  readonly name: string;
  readonly shape: ModelShape;
  readonly optimizer: 'muon' | 'adamw';
  /** Learning rate at its highest. */
  readonly rate: number;
}

/** As in `python/model.py`. */
export interface ModelShape {
  readonly vocabulary: number;
  readonly dim: number;
  readonly layers: number;
  readonly heads: number;
  readonly kv: number;
  readonly ffn: number;
}

const shape: ModelShape = { vocabulary: 4096, dim: 256, layers: 5, heads: 4, kv: 2, ffn: 576 };
const base: Variation = { name: 'as it is', shape, optimizer: 'muon', rate: 0.004 };

export const variations: readonly Variation[] = [
  base,
  { ...base, name: 'AdamW', optimizer: 'adamw' },
  { ...base, name: 'vocabulary of 2048', shape: { ...shape, vocabulary: 2048 } },
  { ...base, name: 'vocabulary of 8192', shape: { ...shape, vocabulary: 8192 } },
  { ...base, name: 'deep and narrow', shape: { ...shape, dim: 192, layers: 9, heads: 3, kv: 1, ffn: 448 } },
  { ...base, name: 'flat and wide', shape: { ...shape, dim: 384, layers: 2, heads: 6, kv: 2, ffn: 960 } },
  { ...base, name: 'half the rate', rate: 0.002 },
  { ...base, name: 'twice the rate', rate: 0.008 },
];

/** Tokens of one step of these runs, and of one row. */
const tokens = 2048;
const length = 512;

/** Weights of the matrices inside of the model and of the head that a token passes. */
export function weightsOf({ vocabulary, dim, layers, heads, kv, ffn }: ModelShape): number {
  const head = dim / heads;
  return layers * (2 * dim * dim + 2 * dim * kv * head + 3 * dim * ffn) + vocabulary * dim;
}

/**
 * Floating-point operations of training on one token, forward and back: six a weight, and twelve times half of the row
 * for each channel of the attention (Kaplan et al. 2020, appendix B, with the causal half).
 */
export function operationsPerToken(one: ModelShape): number {
  return 6 * weightsOf(one) + 12 * one.layers * one.dim * (length / 2);
}

/** Steps of each run, so that all of them compute as much as the model as it is with `steps` steps. */
export function stepsOf(one: ModelShape, steps: number): number {
  return Math.round((steps * operationsPerToken(shape)) / operationsPerToken(one));
}

/** What `train.py` says at the end of a run: bits per byte by language, steps and tokens. */
const endingSchema = z.record(z.string(), z.number());
type Ending = Readonly<z.infer<typeof endingSchema>>;

/**
 * Trains each variation for a short while with the same computation, the same rows of text and seed, two at once, and
 * returns the table for EVAL.md. A run that is finished is not done again.
 *
 * @param steps of the model as it is, 2,048 tokens each
 */
export async function ablations(
  work: string,
  steps: number,
  seed: number,
  say: (line: string) => void,
): Promise<string> {
  const endings = new Map<Variation, Ending>();
  const waiting = [...variations];
  const worker = async (): Promise<void> => {
    for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) {
      const run = path.join(work, 'ablations', one.name.replaceAll(' ', '-'));
      endings.set(one, await ending(one, run, work, steps, seed));
      say(`${one.name}: ${JSON.stringify(endings.get(one))}`);
    }
  };
  await tokenizers(work, seed);
  await Promise.all([worker(), worker()]);
  return table(
    ['variation', 'million weights', 'tokens', 'ts', 'js', 'py'],
    variations.map((one) => {
      const end = endings.get(one) ?? {};
      const bits = (language: string): string => end[language]?.toFixed(3) ?? '–';
      return [
        one.name,
        (weightsOf(one.shape) / 1e6).toFixed(1),
        `${((stepsOf(one.shape, steps) * tokens) / 1e6).toFixed(2)} M`,
        ...['ts', 'js', 'py'].map(bits),
      ];
    }),
  );
}

async function ending(
  { shape: one, optimizer, rate }: Variation,
  run: string,
  work: string,
  steps: number,
  seed: number,
): Promise<Ending> {
  const result = path.join(run, 'ending.json');
  if (!existsSync(result)) {
    await runPython('train.py', [
      ...['--data', dataOf(work, one.vocabulary), '--run', run, '--seed', String(seed), '--workers', '1'],
      ...['--steps', String(stepsOf(one, steps)), '--tokens', String(tokens), '--long', String(length)],
      ...['--dim', String(one.dim), '--layers', String(one.layers), '--heads', String(one.heads)],
      ...['--kv', String(one.kv), '--ffn', String(one.ffn)],
      ...['--optimizer', optimizer, '--lr', String(rate), '--check-seconds', '1e9'],
    ]);
  }
  return endingSchema.parse(JSON.parse(readFileSync(result, 'utf8')));
}

/** The same text with each of the vocabularies. */
async function tokenizers(work: string, seed: number): Promise<void> {
  for (const vocabulary of new Set(variations.map((one) => one.shape.vocabulary))) {
    const data = dataOf(work, vocabulary);
    if (existsSync(path.join(data, 'tokenizer.model'))) continue;
    mkdirSync(data, { recursive: true });
    for (const name of ['train', 'heldout', 'instructions']) {
      const link = path.join(data, `${name}.jsonl`);
      if (!existsSync(link)) symlinkSync(path.join(work, 'data', `${name}.jsonl`), link);
    }
    await runPython('tokenizer.py', [data, String(vocabulary), String(seed)]);
  }
}

function dataOf(work: string, vocabulary: number): string {
  return path.join(work, 'ablations', `vocabulary-${vocabulary}`);
}
