import type { FileHandle } from 'node:fs/promises';
import { checkGguf, checkOpenGguf, type GgufFacts, openRegularFile } from '../gguf-check.js';
import { ModelFileError } from '../model-file-error.js';
import type { ModelSource } from '../model-source.js';
import { partsBeside } from './split-name.js';

/**
 * Checks the open files of one model: each by itself, and that together they are one model, whole and in order.
 *
 * @returns what the first says, with the weights of all
 * @throws ModelFileError
 */
export async function checkOpenParts(files: readonly FileHandle[]): Promise<GgufFacts> {
  const facts: GgufFacts[] = [];
  for (const file of files) facts.push(await checkOpenGguf(file));
  const [first] = facts;
  if (first === undefined) throw new TypeError('a model has a file');
  let tensors = 0;
  for (const [index, { split }] of facts.entries()) {
    if (split?.index !== index || split.count !== files.length) throw new ModelFileError('wrong_parts');
    tensors += split.ownTensors;
  }
  if (first.split?.tensors !== tensors) throw new ModelFileError('wrong_parts');
  const sum = (key: 'sizeBytes' | 'parameters' | 'weightBytes'): number =>
    facts.reduce((all, one) => all + one[key], 0);
  return {
    ...first,
    sizeBytes: sum('sizeBytes'),
    parameters: sum('parameters'),
    weightBytes: sum('weightBytes'),
  };
}

/** Paths of a model's files: those that the source names, or those beside a file that is a part by its name. */
export function pathsOf({ path, parts }: Pick<ModelSource, 'path' | 'parts'>): readonly string[] {
  return parts?.map((part) => part.path) ?? partsBeside(path) ?? [path];
}

/** Checks a model's header, whether it is in one file or in several. @throws ModelFileError */
export async function checkModel(source: Pick<ModelSource, 'path' | 'parts'>): Promise<GgufFacts> {
  const paths = pathsOf(source);
  if (paths.length === 1) return checkWhole(source.path);
  const files = await openParts(paths);
  try {
    return await checkOpenParts(files);
  } finally {
    await closeAll(files);
  }
}

/** Checks a model in one file; a part under a name of its own is none. @throws ModelFileError */
export async function checkWhole(path: string): Promise<GgufFacts> {
  const facts = await checkGguf(path);
  if (facts.split !== undefined) throw new ModelFileError('wrong_parts');
  return facts;
}

/** Opens all parts, or none. @throws ModelFileError; `wrong_parts` where one is missing */
export async function openParts(paths: readonly string[]): Promise<readonly FileHandle[]> {
  const files: FileHandle[] = [];
  try {
    for (const path of paths) files.push(await openRegularFile(path));
    return files;
  } catch (error) {
    await closeAll(files);
    const isMissing = error instanceof ModelFileError && error.problem === 'not_found';
    throw isMissing ? new ModelFileError('wrong_parts', { cause: error }) : error;
  }
}

export async function closeAll(files: readonly FileHandle[]): Promise<void> {
  await Promise.all(files.map((file) => file.close().catch(() => undefined)));
}
