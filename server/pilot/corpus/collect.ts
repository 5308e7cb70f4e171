import { type Dirent, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { type Document, languageOf, type Origin } from './document.js';
import { hasLicenceFile, isPermissive, licenceOf } from './licence.js';
import { cleanText, isSkippedPath, isWorthLearning, maxBytes } from './quality.js';

/** A package that was not used, and why. */
export interface Refused {
  readonly origin: Origin;
  readonly reason: 'licence' | 'no licence file';
}

export interface Collected {
  readonly documents: readonly Document[];
  readonly refused: readonly Refused[];
}

/**
 * Reads every package beneath a `node_modules` directory, nested ones too, in the order of their names.
 *
 * @param root an absolute path that ends in `node_modules`; one that does not exist has no packages
 * @param only names of packages; undefined: all
 */
export function collectPackages(root: string, only?: ReadonlySet<string>): Collected {
  const documents: Document[] = [];
  const refused: Refused[] = [];
  for (const directory of packageDirectories(root)) {
    const origin = originOf(directory);
    if (origin === undefined || only?.has(origin.package) === false) continue;
    const names = entriesOf(directory).map(({ name }) => name);
    if (!isPermissive(origin.licence)) refused.push({ origin, reason: 'licence' });
    else if (!hasLicenceFile(names)) refused.push({ origin, reason: 'no licence file' });
    else for (const file of files(directory, '')) pushDocument(documents, directory, file, origin);
  }
  return { documents, refused };
}

/**
 * Reads Python's standard library.
 *
 * @param root for instance `/usr/lib/python3.11`; one that does not exist has no modules
 */
export function collectPython(root: string): Collected {
  const documents: Document[] = [];
  const version = /(\d+\.\d+)$/.exec(root)?.[1] ?? 'unknown';
  for (const file of files(root, '')) {
    if (
      !file.endsWith('.py') ||
      /^(?:test|dist-packages|site-packages|lib2to3\/tests|distutils\/tests)/.test(file)
    )
      continue;
    const module = (file.split('/')[0] ?? file).replace(/\.py$/, '');
    pushDocument(documents, root, file, { package: `python:${module}`, version, licence: 'PSF-2.0' });
  }
  return { documents, refused: [] };
}

function pushDocument(documents: Document[], directory: string, file: string, origin: Origin): void {
  const language = languageOf(file);
  if (language === undefined || isSkippedPath(file)) return;
  const full = path.join(directory, file);
  if (statSync(full).size > maxBytes) return;
  const text = cleanText(readFileSync(full));
  if (text === undefined || !isWorthLearning(text, language)) return;
  documents.push({ ...origin, language, path: file, text });
}

/** The directories of packages beneath a `node_modules`, at any depth. */
function* packageDirectories(root: string): Generator<string> {
  for (const { name, isDirectory } of entriesOf(root)) {
    if (!isDirectory || name.startsWith('.')) continue;
    const directory = path.join(root, name);
    const inner = name.startsWith('@')
      ? entriesOf(directory)
          .filter((entry) => entry.isDirectory)
          .map((entry) => path.join(directory, entry.name))
      : [directory];
    for (const one of inner) {
      yield one;
      yield* nested(one);
    }
  }
}

/** Packages inside a package: in its `node_modules`, wherever that lies (an editor's extensions have their own). */
function* nested(directory: string): Generator<string> {
  for (const { name, isDirectory } of entriesOf(directory)) {
    if (!isDirectory) continue;
    const inner = path.join(directory, name);
    if (name === 'node_modules') yield* packageDirectories(inner);
    else yield* nested(inner);
  }
}

/** The files of a package in the order of their paths, without those of packages inside it. Links are not followed. */
function* files(root: string, within: string): Generator<string> {
  for (const { name, isDirectory, isFile } of entriesOf(path.join(root, within))) {
    const inner = within === '' ? name : `${within}/${name}`;
    if (isFile) yield inner;
    else if (isDirectory && name !== 'node_modules' && !name.startsWith('.')) yield* files(root, inner);
  }
}

function originOf(directory: string): Origin | undefined {
  const file = path.join(directory, 'package.json');
  if (!existsSync(file)) return undefined;
  let manifest: unknown;
  try {
    manifest = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
  if (typeof manifest !== 'object' || manifest === null || !('name' in manifest)) return undefined;
  const { name } = manifest;
  if (typeof name !== 'string' || name === '') return undefined;
  const version =
    'version' in manifest && typeof manifest.version === 'string' ? manifest.version : 'unknown';
  return { package: name, version, licence: licenceOf(manifest) };
}

interface Entry {
  readonly name: string;
  readonly isDirectory: boolean;
  readonly isFile: boolean;
}

/** A directory's entries by name; none for one that cannot be read. */
function entriesOf(directory: string): readonly Entry[] {
  let entries: Dirent[];
  try {
    entries = readdirSync(directory, { withFileTypes: true });
  } catch {
    return [];
  }
  return entries
    .map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory(), isFile: entry.isFile() }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
