import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { placeAt } from '../../src/completion/place.js';
import { applyRules } from '../../src/completion/rules/rules.js';
import { shapeAt } from '../../src/completion/shape.js';
import { readDocuments } from '../corpus/build.js';
import type { Document, Language } from '../corpus/document.js';
import { calibrate, type Scored } from './calibrate.js';
import { copiedAnswers, isLicenceText, wordsOf } from './memory.js';
import { editSimilarity, mean } from './metrics.js';
import { type EvaluatedModel, openModel } from './model.js';
import { canParse, keepsGrammar } from './parses.js';
import { drawPlaces, type HeldOutPlace } from './places.js';
import type { EvaluationSize } from './size.js';

/** What became of one place. */
export interface PlaceResult extends Scored {
  readonly kind: HeldOutPlace['kind'];
  readonly language: Language;
  /** Whether it was used to fit the thresholds: the other half measures them. */
  readonly fitted: boolean;
  readonly similarity: number;
  /** Whether the product's rules leave something of it. */
  readonly shown: boolean;
  /** Undefined where there is no parser at hand. */
  readonly parses: boolean | undefined;
  readonly wanted: string;
  readonly text: string;
}

export interface Evaluation {
  readonly file: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly contextSize: number;
  readonly tokensPerSecond: number;
  readonly loadMs: number;
  readonly firstSuggestionMs: number;
  /** Bits per byte by language, and the bytes that they were measured on. */
  readonly bitsPerByte: Readonly<Record<string, { readonly bytes: number; readonly bits: number }>>;
  readonly places: readonly PlaceResult[];
  /** Answers with 50 words or signs in a row from one training package; and all answers that long. */
  readonly verbatim: { readonly found: number; readonly of: number };
  readonly licences: number;
  readonly thresholds: readonly number[];
}

/** Words and signs in a row that must not come out of the training text. */
const verbatimLength = 50;
/** How often a suggestion that is shown should be right. */
const precision = 0.5;

/** Measures a model file on the held-out packages. The same file gives the same figures but for times. */
export async function evaluate(
  file: string,
  data: string,
  size: EvaluationSize,
  say: (line: string) => void,
): Promise<Evaluation> {
  const heldOut = readDocuments(path.join(data, 'heldout.jsonl'));
  const sizeBytes = statSync(file).size;
  const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex');
  const began = performance.now();
  const model = await openModel(file);
  const loadMs = performance.now() - began;
  try {
    const firstSuggestionMs = loadMs + (await timed(() => model.fill('const answer = ', ';\n', '\n', 16)));
    const bitsPerByte: Record<string, { bytes: number; bits: number }> = {};
    for (const language of ['ts', 'js', 'py', 'json', 'md'] as const) {
      bitsPerByte[language] = await bitsOf(model, textOf(heldOut, language, size.characters));
      say(`${language}: ${bitsPerByte[language].bits.toFixed(4)} bits per byte`);
    }
    const single = drawPlaces(
      heldOut,
      { ts: size.lines, js: Math.ceil(size.lines / 2), py: Math.ceil(size.lines / 4) },
      ['line', 'tail'],
      1,
    );
    const several = drawPlaces(
      heldOut,
      { ts: Math.ceil(size.blocks / 2), js: Math.floor(size.blocks / 2) },
      ['lines'],
      2,
    );
    const places: PlaceResult[] = [];
    for (const place of [...single, ...several]) {
      places.push(await fillPlace(model, place, places.length));
      if (places.length % 100 === 0) say(`${places.length} of ${single.length + several.length} places`);
    }
    const long = places.map(({ text }) => text).filter((text) => wordsOf(text).length >= verbatimLength);
    const train = long.length === 0 ? [] : readDocuments(path.join(data, 'train.jsonl'));
    return {
      file: path.basename(file),
      sizeBytes,
      sha256,
      contextSize: model.contextSize,
      tokensPerSecond: await model.speed(),
      loadMs,
      firstSuggestionMs,
      bitsPerByte,
      places,
      verbatim: { found: copiedAnswers(long, train, verbatimLength), of: long.length },
      licences: places.filter(({ text }) => isLicenceText(text)).length,
      thresholds: calibrate(
        places.filter(({ fitted, kind, shown }) => fitted && shown && kind !== 'lines'),
        precision,
      ),
    };
  } finally {
    await model.close();
  }
}

async function fillPlace(model: EvaluatedModel, place: HeldOutPlace, number: number): Promise<PlaceResult> {
  const { before, after, wanted, kind, language } = place;
  const isSeveral = kind === 'lines';
  const { text: raw, logprobs } = await model.fill(
    before,
    after,
    isSeveral ? '\n\n\n' : '\n',
    isSeveral ? 96 : 48,
  );
  const height = wanted.split('\n').length;
  const text = raw.trimStart().split('\n').slice(0, height).join('\n').trimEnd();
  const at = placeAt({ uri: 'held:/out', language, text: before + after }, before.length);
  const isShown =
    typeof at !== 'string' && applyRules(raw, { place: at, shape: shapeAt(at) }).kind === 'text';
  return {
    kind,
    language,
    fitted: number % 2 === 0,
    tokens: logprobs.length,
    meanLogprob: mean(logprobs) ?? 0,
    right: text === wanted.trim(),
    similarity: editSimilarity(text, wanted.trim()),
    shown: isShown && text !== '',
    parses: canParse(language) ? keepsGrammar(before, text, wanted, after) : undefined,
    wanted,
    text,
  };
}

async function bitsOf(
  model: EvaluatedModel,
  text: readonly string[],
): Promise<{ bytes: number; bits: number }> {
  let bits = 0;
  let bytes = 0;
  for (const one of text) {
    bits += await model.bits(one);
    bytes += Buffer.byteLength(one);
  }
  return { bytes, bits: bytes === 0 ? 0 : bits / bytes };
}

/** Texts of a language, whole ones and the beginning of the last, up to so many characters. */
export function textOf(
  documents: readonly Document[],
  language: Language,
  characters: number,
): readonly string[] {
  const texts: string[] = [];
  let left = characters;
  for (const document of documents) {
    if (document.language !== language || left <= 0) continue;
    const text = document.text.slice(0, Math.min(left, 20_000));
    texts.push(text);
    left -= text.length;
  }
  return texts;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}
