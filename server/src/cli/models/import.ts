import path from 'node:path';
import { HearthError } from '@hearth/protocol';
import { findOthers } from '../../models/import/find-others.js';
import { importModel, type ImportWish } from '../../models/import/import-model.js';
import { ModelFileError } from '../../models/model-file-error.js';
import { checkModel } from '../../models/split/check-split.js';
import { isModelName, modelNameRule } from '../../models/store/model-name.js';
import { ModelStore } from '../../models/store/model-store.js';
import { modelsHome } from '../../models/store/models-home.js';
import { type ExitCode, exitCodes } from '../exit-codes.js';
import { describeModel } from './describe-model.js';
import { showBytes } from './format.js';

export interface ImportFlags {
  readonly name?: string;
  readonly dryRun?: true;
  readonly json?: true;
}

/** What became of one file. */
interface Outcome {
  readonly outcome: 'imported' | 'there already' | 'would import' | 'left out';
  readonly from: ImportWish['from'];
  /** Name in the store, or what the file is called where it has none. */
  readonly name: string;
  /** For people. */
  readonly text: string;
}

/** `hearth import`: takes over a file, or whatever other programs have fetched, without copying any of it. */
export async function importCommand(file: string | undefined, flags: ImportFlags): Promise<ExitCode> {
  const store = new ModelStore(modelsHome(process.env));
  if (flags.name !== undefined && !isModelName(flags.name))
    throw new HearthError('invalid_request', modelNameRule);
  if (flags.name !== undefined && file === undefined) {
    throw new HearthError('invalid_request', '--name is for one file: give its path too.');
  }
  const wishes: readonly ImportWish[] =
    file === undefined
      ? await findOthers(process.env)
      : [{ from: 'file', title: path.basename(file), path: file, name: flags.name }];
  const outcomes: Outcome[] = [];
  for (const wish of wishes) {
    const outcome = await takeOver(store, wish, flags).catch((error: unknown): Outcome => {
      // Of many files one that is no model is no reason to leave out the others.
      if (!(error instanceof ModelFileError) || file !== undefined) throw error;
      return {
        outcome: 'left out',
        from: wish.from,
        name: wish.title,
        text: `${wish.title}: ${error.message}`,
      };
    });
    outcomes.push(outcome);
    if (flags.json !== true)
      process.stdout.write(
        `${outcome.outcome}  ${outcome.text}${file === undefined ? ` (${wish.from})` : ''}\n`,
      );
  }
  if (flags.json === true) process.stdout.write(`${JSON.stringify(outcomes)}\n`);
  else if (outcomes.length === 0) {
    process.stdout.write(
      'Nothing was found of LM Studio, Ollama or Hugging Face. A file is imported by its path: hearth import model.gguf\n',
    );
  }
  return exitCodes.ok;
}

async function takeOver(store: ModelStore, wish: ImportWish, { dryRun }: ImportFlags): Promise<Outcome> {
  const { from, title } = wish;
  if (dryRun === true) {
    const { sizeBytes } = await checkModel({ path: path.resolve(wish.path) });
    return { outcome: 'would import', from, name: title, text: `${title}, ${showBytes(sizeBytes)}` };
  }
  const { manifest, alreadyThere } = await importModel(store, wish);
  const outcome = alreadyThere ? 'there already' : 'imported';
  return { outcome, from, name: manifest.name, text: describeModel(manifest) };
}
