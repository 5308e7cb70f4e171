import { promises as fs } from 'node:fs';
import path from 'node:path';
import { HearthError } from '@hearth/protocol';
import * as z from 'zod';
import { findUpwards } from './find-upwards.js';
import { ModelFileError } from './model-file-error.js';
import type { ModelSource } from './model-source.js';
import { isModelName } from './store/model-name.js';
import { ModelStore } from './store/model-store.js';
import { modelsHome } from './store/models-home.js';

const manifestSchema = z.object({
  id: z.string(),
  alias: z.string(),
  displayName: z.string(),
  file: z.string(),
  sizeBytes: z.number(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/u),
  caution: z.string(),
  threads: z.number().optional(),
});

/** Where {@link resolveModel} looks. */
export interface ResolveModelOptions {
  /** What a relative path starts from. Default: the working directory. */
  readonly workingDirectory?: string;
  /** Where to begin the search for the embedded model. Default: this module. */
  readonly from?: string;
  /** Where models are kept. Default: that of the environment. */
  readonly store?: ModelStore;
}

/**
 * Finds the model that `nameOrPath` means: the embedded one by its id or alias, one of the store by its name, or any
 * GGUF file by its path.
 * Undefined means the embedded one. The file itself is looked at later, when it is loaded.
 *
 * @throws HearthError `model_not_found` or {@link ModelFileError}; the message holds neither name nor path.
 */
export async function resolveModel(
  nameOrPath: string | undefined,
  options: ResolveModelOptions = {},
): Promise<ModelSource> {
  const embedded = await readEmbedded(options.from ?? import.meta.url);
  if (nameOrPath === undefined) {
    if (embedded !== undefined) return embedded.source;
    throw new HearthError(
      'model_not_found',
      'This copy of Hearth has no embedded model. Give one: --model /path/to/model.gguf.',
    );
  }
  if (embedded !== undefined && (nameOrPath === embedded.source.id || nameOrPath === embedded.alias)) {
    return embedded.source;
  }
  if (isModelName(nameOrPath)) {
    const store = options.store ?? new ModelStore(modelsHome(process.env));
    const manifest = await store.find(nameOrPath);
    if (manifest !== undefined) return store.toSource(manifest);
  }
  const file = path.resolve(options.workingDirectory ?? process.cwd(), nameOrPath);
  const stat = await fs.stat(file).catch(() => undefined);
  if (stat === undefined) throw notFound(nameOrPath, embedded?.alias);
  if (!stat.isFile()) throw new ModelFileError('not_a_file');
  const id = path
    .basename(file)
    .replace(/\.gguf$/iu, '')
    .replace(/[^\w.-]+/gu, '-')
    .slice(0, 128);
  return { id, displayName: id, path: file, sizeBytes: stat.size };
}

function notFound(nameOrPath: string, alias: string | undefined): HearthError {
  if (/[/\\]|\.gguf$/iu.test(nameOrPath)) return new ModelFileError('not_found');
  const embedded = alias === undefined ? '' : ` The embedded model is called "${alias}";`;
  return new HearthError(
    'model_not_found',
    `There is no model of that name.${embedded} \`hearth models\` lists those in the store, and any other is given by the path of its .gguf file.`,
  );
}

async function readEmbedded(from: string): Promise<{ alias: string; source: ModelSource } | undefined> {
  const manifestPath = findUpwards(from, ['server/models/pilot/manifest.json', 'models/pilot/manifest.json']);
  if (manifestPath === undefined) return undefined;
  const manifest = manifestSchema.parse(JSON.parse(await fs.readFile(manifestPath, 'utf8')));
  const { id, alias, displayName, sizeBytes, sha256, caution, threads } = manifest;
  const file = path.join(path.dirname(manifestPath), manifest.file);
  return {
    alias,
    source: {
      id,
      displayName,
      path: file,
      sizeBytes,
      sha256,
      caution,
      ...(threads === undefined ? {} : { threads }),
    },
  };
}
