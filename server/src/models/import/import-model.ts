import path from 'node:path';
import { checkModel } from '../split/check-split.js';
import { parseSplitName, partsBeside } from '../split/split-name.js';
import { manifestFacts, type Manifest } from '../store/manifest.js';
import { toModelName } from '../store/model-name.js';
import type { ModelStore } from '../store/model-store.js';
import type { FoundModel } from './find-others.js';

export interface ImportWish {
  readonly from: FoundModel['from'] | 'file';
  readonly title: string;
  readonly path: string;
  readonly sha256?: string | undefined;
  /** @default made of the title */
  readonly name?: string | undefined;
}

/** What became of one file. */
export interface Imported {
  readonly manifest: Manifest;
  /** The store had it under that name already. */
  readonly alreadyThere: boolean;
}

/**
 * Takes a file into the store by reference: it stays where it is, and is checked like any other each time it is loaded.
 *
 * @throws ModelFileError where it is no model
 */
export async function importModel(store: ModelStore, wish: ImportWish): Promise<Imported> {
  const given = path.resolve(wish.path);
  // A model in several files goes by its first.
  const file = partsBeside(given)?.[0] ?? given;
  const facts = await checkModel({ path: file });
  const name =
    wish.name ??
    (await freeName(
      store,
      toModelName((parseSplitName(wish.title)?.stem ?? wish.title).replaceAll(/[:/]/gu, '-')),
      file,
    ));
  const there = await store.find(name).catch(() => undefined);
  if (there?.file.kind === 'external' && there.file.path === file)
    return { manifest: there, alreadyThere: true };
  const manifest: Manifest = {
    schema: 1,
    name,
    displayName: (facts.name ?? name).slice(0, 200),
    file: { kind: 'external', path: file, ...(wish.sha256 === undefined ? {} : { sha256: wish.sha256 }) },
    sizeBytes: facts.sizeBytes,
    source: { kind: 'import', from: wish.from },
    ...manifestFacts(facts),
    addedAt: new Date().toISOString(),
  };
  await store.write(manifest);
  return { manifest, alreadyThere: false };
}

/** `name`, or with a number behind it where another model has it. */
async function freeName(store: ModelStore, name: string, file: string): Promise<string> {
  for (let number = 1; number < 1000; number += 1) {
    const candidate = number === 1 ? name : `${name.slice(0, 92)}-${String(number)}`;
    const there = await store.find(candidate).catch(() => undefined);
    if (there === undefined || (there.file.kind === 'external' && there.file.path === file)) return candidate;
  }
  return name;
}
