/**
 * Names of models in the store. A name becomes the name of a file, so its grammar leaves nothing that any file system
 * reads in a way of its own: small letters, digits, `.`, `_` and `-`; neither two dots in a row nor one at an end; none
 * of the names that Windows keeps for devices; at most 96 characters.
 */
const grammar = /^[a-z0-9](?:[a-z0-9_-]|\.(?!\.)){0,94}(?<![.])$/u;
const devices = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/u;

export function isModelName(text: string): boolean {
  return grammar.test(text) && !devices.test(text);
}

/** What the grammar asks for, for whoever gave another name. */
export const modelNameRule =
  'Names have small letters, digits, ".", "_" and "-", begin with a letter or digit, and have at most 96 characters.';

/** A good name made of `text`, such as a file's; `model` where nothing of it can stay. */
export function toModelName(text: string): string {
  const name = text
    .replace(/\.gguf$/iu, '')
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/gu, '-')
    .replace(/\.{2,}/gu, '.')
    .replace(/^[^a-z0-9]+/u, '')
    .slice(0, 96)
    .replace(/[.-]+$/u, '');
  return isModelName(name) ? name : 'model';
}
