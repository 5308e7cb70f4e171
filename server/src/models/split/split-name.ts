import path from 'node:path';

/**
 * Models in several files, as llama.cpp's gguf-split makes them: `name-00001-of-00003.gguf` and so on, where the first
 * has the header and each has a share of the weights.
 *
 * Source: llama.cpp, llama_split_path in src/llama.cpp.
 */

/** Most files of one model. */
export const mostParts = 256;

/** What the name of a part says. */
export interface SplitName {
  /** What stands before the numbers. */
  readonly stem: string;
  /** From 1. */
  readonly index: number;
  readonly count: number;
}

/** The name of a part, or undefined where it is none. `-00001-of-00001` is a model in one file. */
export function parseSplitName(fileName: string): SplitName | undefined {
  const [, stem, index = '', count = ''] = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/iu.exec(fileName) ?? [];
  const name = { stem: stem ?? '', index: Number(index), count: Number(count) };
  const isPart = name.count > 1 && name.count <= mostParts && name.index >= 1 && name.index <= name.count;
  return stem !== undefined && isPart ? name : undefined;
}

export function partName(stem: string, index: number, count: number): string {
  return `${stem}-${String(index).padStart(5, '0')}-of-${String(count).padStart(5, '0')}.gguf`;
}

/** The paths of all parts of the model that the file belongs to, the first one first; undefined where it is whole. */
export function partsBeside(file: string): readonly string[] | undefined {
  const name = parseSplitName(path.basename(file));
  if (name === undefined) return undefined;
  return Array.from({ length: name.count }, (_, index) =>
    path.join(path.dirname(file), partName(name.stem, index + 1, name.count)),
  );
}
