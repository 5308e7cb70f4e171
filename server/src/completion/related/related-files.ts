import type { DocumentText } from '../document-text.js';
import { ownCopy, plainLines } from '../place.js';
import { chooseDefinitions, definitionsOf, type Definition } from './definitions.js';
import type { RecentDocument } from './recent-documents.js';

/** What of another file a model is shown. */
export interface RelatedFile {
  /** Such as `src/add.ts`; never absolute. */
  readonly path: string;
  readonly text: string;
}

/** Chooses what of other files goes before a document. One a connection: it remembers its last choice. */
export interface RelatedFiles {
  /**
   * At most `room` units in all, the most stable files first.
   *
   * @param near the text around the cursor: of long files, what it names is shown first
   */
  readonly choose: (
    uri: string,
    language: string,
    documents: readonly RecentDocument[],
    room: number,
    near?: string,
  ) => readonly RelatedFile[];
}

const mostFiles = 6;
/** A file up to this length is shown whole. */
const shortFile = 1500;
/** Most units of one file's definitions, and of the text around its last change. */
const mostDefinitions = 1200;
const aroundChange = 600;
/** Names near a cursor that are remembered. */
const mostNames = 2000;
/** How many changes newer another file must be to take the place of one that was chosen before. */
const loyalty = 500;
/** A longer document is not read through at each trigger: only what is around its last change. */
const longestRead = 262_144;

/**
 * The order maximises what a model's cache of the prompt's beginning is good for: files that have not changed come
 * first, in the order in which they were opened; files that have, after them, the last changed last. A file that was
 * chosen stays chosen while there is room, so that the beginning stands still.
 */
export function createRelatedFiles(): RelatedFiles {
  let chosenBefore: ReadonlySet<string> = new Set();
  const extracts = new Map<string, { readonly changedAt: number; readonly extract: Extract }>();
  let used: Used = { uri: '', names: new Set() };

  const extract = (document: RecentDocument): string => {
    const known = extracts.get(document.uri);
    if (known?.changedAt === document.changedAt) return textOf(known.extract, used.names);
    const fresh = extractOf(document);
    extracts.delete(document.uri);
    extracts.set(document.uri, {
      changedAt: document.changedAt,
      extract: fresh,
    });
    for (const uri of extracts.keys()) {
      if (extracts.size <= 4 * mostFiles) break;
      extracts.delete(uri);
    }
    return textOf(fresh, used.names);
  };

  return {
    choose: (uri, language, documents, room, near = '') => {
      if (room <= 0) return [];
      used = withNames(used, uri, near);
      const claims = documents
        .filter((document) => document.uri !== uri && isOfUse(document, language))
        .toSorted((left, right) => claim(right, chosenBefore) - claim(left, chosenBefore));
      const chosen: {
        readonly document: RecentDocument;
        readonly text: string;
      }[] = [];
      let left = room;
      for (const document of claims) {
        if (chosen.length === mostFiles) break;
        const text = extract(document);
        const cost = text.length + nameOf(document.uri).length + 16;
        if (text === '' || cost > left) continue;
        left -= cost;
        chosen.push({ document, text });
      }
      chosenBefore = new Set(chosen.map(({ document }) => document.uri));
      return chosen
        .toSorted((one, other) => byStability(one.document, other.document))
        .map(({ document, text }) => ({ path: nameOf(document.uri), text }));
    },
  };
}

/** Files of the same language, and of those that are written together with it. */
function isOfUse({ language }: RecentDocument, other: string): boolean {
  return language === other || families.some((family) => family.has(language) && family.has(other));
}

const families: readonly ReadonlySet<string>[] = [
  new Set(['typescript', 'typescriptreact', 'javascript', 'javascriptreact', 'vue', 'svelte', 'json']),
  new Set(['c', 'cpp', 'cuda-cpp', 'objective-c', 'objective-cpp']),
  new Set(['html', 'css', 'scss', 'less']),
  new Set(['java', 'kotlin', 'scala', 'groovy']),
];

function claim(document: RecentDocument, before: ReadonlySet<string>): number {
  return Math.max(document.changedAt, document.openedAt) + (before.has(document.uri) ? loyalty : 0);
}

function byStability(one: RecentDocument, other: RecentDocument): number {
  return one.changedAt - other.changedAt || one.openedAt - other.openedAt;
}

/** What of a file is worth showing: the whole of it, or what it defines and what is around its last change. */
type Extract =
  | { readonly kind: 'whole'; readonly text: string }
  | {
      readonly kind: 'parts';
      readonly definitions: readonly Definition[];
      readonly around: string;
    };

function extractOf({ text, changeOffset }: RecentDocument): Extract {
  const around = changeOffset === undefined ? '' : linesAround(text, changeOffset);
  if (text.length > longestRead) return { kind: 'parts', definitions: [], around };
  const whole = text.slice(0, text.length);
  if (whole.includes('\0')) return { kind: 'whole', text: '' };
  if (whole.length <= shortFile) return { kind: 'whole', text: ownCopy(plainLines(whole).trim()) };
  const definitions = definitionsOf(plainLines(whole)).map(({ name, line }) => ({
    name: ownCopy(name),
    line: ownCopy(line),
  }));
  return { kind: 'parts', definitions, around };
}

function textOf(extract: Extract, names: ReadonlySet<string>): string {
  if (extract.kind === 'whole') return extract.text;
  const definitions = chooseDefinitions(extract.definitions, mostDefinitions, names);
  return [definitions, extract.around].filter((part) => part !== '').join('\n\n');
}

/** What was named near the cursor of one document. */
interface Used {
  readonly uri: string;
  readonly names: ReadonlySet<string>;
}

/** Names stay while one works on a document, so that what is shown of other files stands still. */
function withNames({ uri: before, names }: Used, uri: string, near: string): Used {
  const known = before === uri && names.size < mostNames ? names : new Set<string>();
  const found = near.match(/[\w$]{3,64}/g) ?? [];
  return { uri, names: new Set([...known, ...found.map(ownCopy)]) };
}

/** Whole lines around an offset; none where they are too long to be lines, or no text. */
function linesAround(text: DocumentText, offset: number): string {
  const reach = 2 * aroundChange;
  const from = Math.max(0, offset - reach);
  const near = text.slice(from, Math.min(text.length, offset + reach));
  const begin = near.lastIndexOf('\n', Math.max(0, offset - from - aroundChange / 2)) + 1;
  const stop = near.indexOf('\n', offset - from + aroundChange / 2);
  const lines = near.slice(begin, stop === -1 ? near.length : stop);
  return lines.length > reach || lines.includes('\0') ? '' : ownCopy(plainLines(lines).trim());
}

/** The last two parts of a path: enough to tell files apart, and nothing of where a person keeps them. */
export function nameOf(uri: string): string {
  const path = uri.replace(/[?#].*$/, '').replace(/^[\w+.-]+:\/*/, '');
  const parts = path.split('/').filter((part) => part !== '');
  const name = parts.slice(-2).join('/');
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
