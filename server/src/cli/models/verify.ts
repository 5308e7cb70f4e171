import { HearthError } from '@hearth/protocol';
import { checkModel } from '../../models/split/check-split.js';
import { ModelFileError } from '../../models/model-file-error.js';
import type { Manifest } from '../../models/store/manifest.js';
import { ModelStore } from '../../models/store/model-store.js';
import { modelsHome } from '../../models/store/models-home.js';
import { verifyFile } from '../../models/trust/hash-file.js';
import { type ExitCode, exitCodes } from '../exit-codes.js';
import { onInterrupt } from '../signals.js';

/** `hearth verify`: reads every byte of one model, or of all, and compares. Exits with 4 where one is not right. */
export async function verifyCommand(
  name: string | undefined,
  { json }: { readonly json?: true },
): Promise<ExitCode> {
  const store = new ModelStore(modelsHome(process.env));
  const interrupted = onInterrupt();
  const models = name === undefined ? (await store.list()).models : [await store.read(name)];
  if (models.length === 0 && json !== true)
    process.stdout.write('The store is empty: there is nothing to verify.\n');
  let bad = 0;
  const all: { readonly name: string; readonly good: boolean; readonly text: string }[] = [];
  for (const model of models) {
    const outcome = await look(store, model, interrupted).catch((error: unknown) => {
      if (interrupted.aborted) return undefined;
      if (error instanceof HearthError) return { good: false, text: describe(error, model) };
      throw error;
    });
    if (outcome === undefined) return exitCodes.interrupted;
    if (!outcome.good) bad += 1;
    all.push({ name: model.name, ...outcome });
    if (json !== true)
      process.stdout.write(`${outcome.good ? 'good' : 'BAD '}  ${model.name}: ${outcome.text}\n`);
  }
  if (json === true) process.stdout.write(`${JSON.stringify(all)}\n`);
  return bad === 0 ? exitCodes.ok : exitCodes.notReady;
}

async function look(
  store: ModelStore,
  model: Manifest,
  signal: AbortSignal,
): Promise<{ readonly good: boolean; readonly text: string }> {
  const source = store.toSource(model);
  const { path, sha256, parts } = source;
  await checkModel(source);
  if (parts !== undefined) {
    for (const part of parts) if (part.sha256 !== undefined) await verifyFile(part.path, part.sha256, signal);
    return { good: true, text: `header and SHA-256 of its ${String(parts.length)} files are right` };
  }
  if (sha256 === undefined)
    return { good: true, text: 'its header is right; nobody said what it should hash to' };
  await verifyFile(path, sha256, signal);
  return { good: true, text: 'header and SHA-256 are right' };
}

function describe(error: HearthError, { name, file }: Manifest): string {
  const again = `Remove it with hearth rm ${name}, then get it again.`;
  if (error instanceof ModelFileError && error.problem === 'not_found') {
    return file.kind === 'external'
      ? `its file is gone: the program that fetched it has removed or moved it. ${again}`
      : `its file is gone. ${again}`;
  }
  return `${error.message} ${again}`;
}
