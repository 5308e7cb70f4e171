import { HearthError } from '@hearth/protocol';
import { findOthers } from '../../models/import/find-others.js';
import { importModel } from '../../models/import/import-model.js';
import { ModelFileError } from '../../models/model-file-error.js';
import { isModelName, modelNameRule } from '../../models/store/model-name.js';
import { ModelStore } from '../../models/store/model-store.js';
import { modelsHome } from '../../models/store/models-home.js';
import { type ExitCode, exitCodes } from '../exit-codes.js';
import path from 'node:path';
import { describeModel } from './describe-model.js';

export interface ImportFlags {
  readonly name?: string;
  readonly dryRun?: true;
}

/** `hearth import`: takes over a file, or whatever other programs have fetched, without copying any of it. */
export async function importCommand(file: string | undefined, flags: ImportFlags): Promise<ExitCode> {
  const store = new ModelStore(modelsHome(process.env));
  if (file !== undefined) {
    if (flags.name !== undefined && !isModelName(flags.name))
      throw new HearthError('invalid_request', modelNameRule);
    const title = path.basename(file);
    const { manifest, alreadyThere } = await importModel(store, {
      from: 'file',
      title,
      path: file,
      name: flags.name,
    });
    process.stdout.write(`${alreadyThere ? 'There already: ' : 'Imported '}${describeModel(manifest)}\n`);
    return exitCodes.ok;
  }
  const found = await findOthers(process.env);
  if (found.length === 0) {
    process.stdout.write(
      'Nothing was found of LM Studio, Ollama or Hugging Face. A file is imported by its path: hearth import model.gguf\n',
    );
    return exitCodes.ok;
  }
  for (const one of found) {
    if (flags.dryRun === true) {
      process.stdout.write(`would import ${one.title} (${one.from})\n`);
      continue;
    }
    try {
      const { manifest, alreadyThere } = await importModel(store, one);
      process.stdout.write(
        `${alreadyThere ? 'there already' : 'imported'}  ${describeModel(manifest)} (${one.from})\n`,
      );
    } catch (error) {
      if (!(error instanceof ModelFileError)) throw error;
      process.stdout.write(`left out  ${one.title} (${one.from}): ${error.message}\n`);
    }
  }
  return exitCodes.ok;
}
