import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { ablations } from './ablations.js';
import { buildCorpus, fewSources, installedSources, readDocuments } from './corpus/build.js';
import { evaluate, textOf, type Evaluation } from './evaluation/evaluate.js';
import { evaluationReport, type Column } from './evaluation/report.js';
import { readOptions, type Options } from './options.js';
import { checkPython, runPython } from './python.js';

/** `npm run pilot -- STEP …`: the steps that make the Hearth Pilot. Each goes on where it was stopped, or does it again. */

const root = process.cwd();
const pilot = path.join(root, 'server/pilot');
const say = (line: string): void => void process.stderr.write(`${line}\n`);

const steps: Readonly<Record<string, (options: Options) => Promise<void> | void>> = {
  corpus,
  tokenizer: (options) =>
    runPython('tokenizer.py', [dataOf(options), String(options.vocabulary), String(options.seed)]),
  begin,
  train,
  export: exportModel,
  evaluate: evaluateModels,
  check: () => checkPython(say),
  ablate,
  all: async (options) => {
    corpus(options);
    if (options.init === undefined) await steps['tokenizer']?.(options);
    else await begin(options);
    await train(options);
    await exportModel(options);
    await evaluateModels(options);
    // Once more, with the thresholds; the weights are the same.
    await exportModel(options);
  },
};

/** The model of a shortened run. */
const tiny: readonly string[] = [
  ...['--micro', '256', '--length', '128', '--long', '256'],
  ...['--dim', '64', '--layers', '2', '--heads', '2', '--kv', '1', '--ffn', '96'],
];

await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<void> {
  try {
    const { step, options } = readOptions(args, Object.keys(steps));
    await steps[step]?.(options);
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}

function dataOf({ work }: Options): string {
  return path.join(work, 'data');
}

function corpus(options: Options): void {
  const sources = options.shortened ? fewSources(root) : installedSources(root, process.execPath);
  const report = buildCorpus(sources, dataOf(options), say);
  const file = path.join(options.shortened ? options.work : pilot, 'CORPUS.md');
  writeFileSync(file, report);
  say(`${path.relative(root, file)} is written.`);
}

/** Begins with the weights and the tokenizer of a model file of this project's instead of with nothing. */
function begin(options: Options): Promise<void> {
  if (options.init === undefined) throw new Error('Which model file? --init FILE.gguf');
  return runPython('import_gguf.py', [options.init, dataOf(options), path.join(options.work, 'init.pt')]);
}

function train(options: Options): Promise<void> {
  const init = path.join(options.work, 'init.pt');
  const run = path.join(options.work, 'run');
  const end = options.until === undefined ? ['--steps', String(options.steps)] : ['--until', options.until];
  return runPython('train.py', [
    ...[
      '--data',
      dataOf(options),
      '--run',
      run,
      '--seed',
      String(options.seed),
      '--tokens',
      String(options.tokens),
    ],
    ...['--lr', String(options.rate), ...end],
    ...(options.init === undefined || !existsSync(init) ? [] : ['--init', init]),
    ...(options.device === 'cuda'
      ? ['--device', 'cuda', '--workers', '1', '--micro', String(Math.min(65_536, options.tokens))]
      : []),
    ...(options.shortened ? tiny : []),
  ]);
}

/** Short runs that differ in one thing each: their table is for EVAL.md. */
async function ablate(options: Options): Promise<void> {
  const report = path.join(options.work, 'ablations.md');
  writeFileSync(report, `${await ablations(options.work, options.steps, options.seed, say)}\n`);
  say(`${report} is written.`);
}

/** Writes the model file, with the thresholds of its evaluation if there is one. */
async function exportModel(options: Options): Promise<void> {
  const run = path.join(options.work, 'run');
  const final = path.join(run, 'final.pt');
  const checkpoint = existsSync(final) ? final : path.join(run, 'last.pt');
  const thresholds = path.join(options.work, 'thresholds.json');
  const confidence: unknown = existsSync(thresholds) ? JSON.parse(readFileSync(thresholds, 'utf8')) : [];
  const list = Array.isArray(confidence) ? confidence.join(',') : '';
  await runPython('export.py', [
    ...[checkpoint, dataOf(options), modelOf(options), '--order', options.order],
    ...(list === '' ? [] : [`--confidence=${list}`]),
  ]);
}

function modelOf({ work, model }: Options): string {
  return model ?? path.join(work, 'hearth-pilot-q8_0.gguf');
}

/**
 * Measures the model file, and another one beside it (`--against`). The thresholds are fitted, put into the file, and
 * the report is of the file with them: its weights are the same to the byte.
 */
async function evaluateModels(options: Options): Promise<void> {
  const data = dataOf(options);
  const mine = await evaluateOnce(modelOf(options), options);
  const columns: Column[] = [{ name: 'Hearth Pilot', evaluation: mine }];
  if (options.against !== undefined) {
    columns.push({ name: 'version 0', evaluation: await evaluateOnce(options.against, options) });
  }
  mkdirSync(options.work, { recursive: true });
  writeFileSync(path.join(options.work, 'thresholds.json'), JSON.stringify(mine.thresholds));
  writeFileSync(
    path.join(options.work, 'evaluation.md'),
    `${evaluationReport(columns, xzOf(data, options.size.characters))}\n`,
  );
  say(
    `${path.join(options.work, 'evaluation.md')} is written; export writes the thresholds into the model file.`,
  );
}

async function evaluateOnce(file: string, options: Options): Promise<Evaluation> {
  say(`Evaluating ${path.basename(file)}`);
  const evaluation = await evaluate(file, dataOf(options), options.size, say);
  const name = `evaluation-${path.basename(file, '.gguf')}.json`;
  writeFileSync(path.join(options.work, name), JSON.stringify(evaluation, undefined, 1));
  return evaluation;
}

/** Bits per byte of xz on the very texts that the models were measured on, all of a language together. */
function xzOf(data: string, characters: number): Record<string, number> {
  const documents = readDocuments(path.join(data, 'heldout.jsonl'));
  const bits: Record<string, number> = {};
  for (const language of ['ts', 'js', 'py', 'json', 'md'] as const) {
    const text = textOf(documents, language, characters).join('');
    const { stdout, status } = spawnSync('xz', ['-9e', '-c'], { input: text, maxBuffer: 64 * 1024 * 1024 });
    if (status === 0 && text !== '') bits[language] = (stdout.length * 8) / Buffer.byteLength(text);
  }
  return bits;
}
