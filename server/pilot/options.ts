import path from 'node:path';
import { parseArgs } from 'node:util';
import { wholeEvaluation, type EvaluationSize } from './evaluation/size.js';

/** What the steps are told. */
export interface Options {
  /** Directory of data and checkpoints, outside of the repository. @default /tmp/hearth-pilot */
  readonly work: string;
  readonly seed: number;
  /** Pieces of the tokenizer. @default 4096 */
  readonly vocabulary: number;
  /** A model file to begin with; undefined: with nothing. */
  readonly init: string | undefined;
  /** Steps of training, unless `until` says when it ends. @default 20000; of `ablate`, for each run: 200 */
  readonly steps: number;
  /** A time of day in UTC, `HH:MM`. */
  readonly until: string | undefined;
  /** Tokens of one step. @default 4096 */
  readonly tokens: number;
  /** `cuda`: an accelerator. @default cpu */
  readonly device: 'cpu' | 'cuda';
  /** Learning rate at its highest. @default 0.004; of a run that begins with a model: 0.0015 */
  readonly rate: number;
  /** Which side comes first where the model fills in. @default suffix-prefix-middle */
  readonly order: 'suffix-prefix-middle' | 'prefix-suffix-middle';
  /** The model file that is written or evaluated. @default in the work directory */
  readonly model: string | undefined;
  /** A second model file to evaluate, for comparison. */
  readonly against: string | undefined;
  readonly size: EvaluationSize;
  /** A minute of everything, with a few packages and a model too small to be of use: shows that the chain works. */
  readonly shortened: boolean;
}

const defaults = {
  vocabulary: '4096',
  steps: '20000',
  tokens: '4096',
  places: String(wholeEvaluation.lines),
};
/** What a shortened run has instead of the defaults. */
const shortenedDefaults = { vocabulary: '700', steps: '20', tokens: '1024', places: '8' };

/** A step and its options from the command line. @throws Error that says what there is */
export function readOptions(
  args: readonly string[],
  steps: readonly string[],
): { readonly step: string; readonly options: Options } {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      work: { type: 'string', default: '/tmp/hearth-pilot' },
      seed: { type: 'string', default: '1' },
      vocabulary: { type: 'string' },
      init: { type: 'string' },
      steps: { type: 'string' },
      until: { type: 'string' },
      tokens: { type: 'string' },
      device: { type: 'string', default: 'cpu' },
      rate: { type: 'string' },
      order: { type: 'string', default: 'suffix-prefix-middle' },
      model: { type: 'string' },
      against: { type: 'string' },
      places: { type: 'string' },
      shortened: { type: 'boolean', default: false },
    },
  });
  const [step = '', ...rest] = positionals;
  const usual = step === 'ablate' ? { ...defaults, steps: '200' } : defaults;
  const given = { ...(values.shortened ? shortenedDefaults : usual), ...values };
  if (!steps.includes(step) || rest.length > 0) {
    throw new Error(
      `Which step? npm run pilot -- ${steps.join('|')} [--work DIRECTORY] [--init FILE.gguf] …`,
    );
  }
  const { order, device } = values;
  if (device !== 'cpu' && device !== 'cuda') throw new Error('--device is cpu or cuda.');
  if (order !== 'suffix-prefix-middle' && order !== 'prefix-suffix-middle') {
    throw new Error('--order is suffix-prefix-middle or prefix-suffix-middle.');
  }
  if (values.until !== undefined && !/^([01]\d|2[0-3]):[0-5]\d$/.test(values.until)) {
    throw new Error('--until is a time of day in UTC, such as 06:30.');
  }
  const lines = whole('places', given.places, 8, 100_000);
  const share = lines / wholeEvaluation.lines;
  return {
    step,
    options: {
      work: path.resolve(values.work),
      seed: whole('seed', values.seed, 0, 2 ** 31),
      vocabulary: whole('vocabulary', given.vocabulary, 512, 65_535),
      init: values.init,
      steps: whole('steps', given.steps, 1, 10_000_000),
      until: values.until,
      tokens: whole('tokens', given.tokens, 512, 4_194_304),
      device,
      rate: positive('rate', values.rate ?? (values.init === undefined ? '0.004' : '0.0015')),
      order,
      model: values.model,
      against: values.against,
      shortened: values.shortened,
      size: {
        lines,
        blocks: Math.ceil(wholeEvaluation.blocks * share),
        characters: Math.min(wholeEvaluation.characters, Math.ceil(wholeEvaluation.characters * share)),
      },
    },
  };
}

function whole(name: string, text: string, from: number, to: number): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= from && number <= to) return number;
  throw new Error(`--${name} is a whole number from ${from} to ${to}.`);
}

function positive(name: string, text: string): number {
  const number = Number(text);
  if (number > 0 && Number.isFinite(number)) return number;
  throw new Error(`--${name} is a positive number.`);
}
