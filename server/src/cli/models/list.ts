import { promises as fs } from 'node:fs';
import path from 'node:path';
import { listUnfinished } from '../../models/pull/partial.js';
import { ModelStore } from '../../models/store/model-store.js';
import { modelsHome } from '../../models/store/models-home.js';
import { type ExitCode, exitCodes } from '../exit-codes.js';
import { abilities } from './describe-model.js';
import { showBytes, showTable } from './format.js';

/** `hearth models`: what the store has, and what each can do. */
export async function listCommand({ json }: { readonly json?: true }): Promise<ExitCode> {
  const store = new ModelStore(modelsHome(process.env));
  const { models, broken, beyond } = await store.list();
  const unfinished = await listUnfinished(store.partialDirectory);
  const setAside = await countSetAside(store.quarantineDirectory);
  if (json === true) {
    const all = { models, broken, beyond, unfinished, setAside };
    process.stdout.write(`${JSON.stringify(all, undefined, 2)}\n`);
    return exitCodes.ok;
  }
  if (models.length === 0) {
    process.stdout.write(
      'The store is empty; Hearth serves its demonstration model until you give it another.\n' +
        'See what suits this machine: hearth models recommend\n' +
        'Take over what LM Studio, Ollama or Hugging Face have fetched already: hearth import\n',
    );
  } else {
    const head = ['NAME', 'SIZE', 'QUANT', 'CONTEXT', 'FOR', 'FROM'];
    const rows = models.map((model) => [
      model.name,
      showBytes(model.sizeBytes),
      model.quantization ?? '?',
      model.contextLength === undefined ? '?' : String(model.contextLength),
      abilities(model),
      model.source.kind === 'import' ? model.source.from : new URL(model.source.url).hostname,
    ]);
    process.stdout.write(`${showTable([head, ...rows])}\n`);
  }
  for (const name of broken)
    process.stdout.write(`${name}: its record is damaged; remove it with hearth rm ${name}\n`);
  if (beyond > 0) process.stdout.write(`and ${String(beyond)} more\n`);
  for (const { url, doneBytes, totalBytes } of unfinished) {
    process.stdout.write(
      `Not fetched whole: ${url}, ${showBytes(doneBytes)} of ${showBytes(totalBytes)}. The same command goes on with it.\n`,
    );
  }
  if (setAside.files > 0) {
    process.stdout.write(
      `Set aside: ${showBytes(setAside.bytes)} that were not what was promised, in ${store.quarantineDirectory}.\n` +
        'Nothing loads them; delete them when you like.\n',
    );
  }
  return exitCodes.ok;
}

/** Files that were fetched and are not used, and their bytes. */
async function countSetAside(directory: string): Promise<{ readonly files: number; readonly bytes: number }> {
  const names = await fs.readdir(directory).catch(() => []);
  const found = await Promise.all(
    names.slice(0, 1000).map((name) => fs.stat(path.join(directory, name)).catch(() => undefined)),
  );
  return { files: names.length, bytes: found.reduce((sum, one) => sum + (one?.size ?? 0), 0) };
}
