import type { Document, Language } from '../corpus/document.js';
import { seeded } from './random.js';

/**
 * A hole in a held-out file. `line`: a whole line after its indentation. `tail`: the rest of a line from a random
 * column. `lines`: two to four whole lines.
 */
export interface HeldOutPlace {
  readonly kind: 'line' | 'tail' | 'lines';
  readonly language: Language;
  readonly package: string;
  /** At most 1,200 characters. */
  readonly before: string;
  readonly wanted: string;
  /** At most 500 characters; begins with the line end. */
  readonly after: string;
}

/** How many places are wanted of each language; half of them `line`, half `tail`. */
export type PlaceCounts = Readonly<Partial<Record<Language, number>>>;

const beforeCharacters = 1_200;
const afterCharacters = 500;

/** The same documents and seed give the same places; no place is drawn twice. */
export function drawPlaces(
  documents: readonly Document[],
  counts: PlaceCounts,
  kinds: readonly HeldOutPlace['kind'][],
  seed: number,
): readonly HeldOutPlace[] {
  const places: HeldOutPlace[] = [];
  for (const [language, count] of Object.entries(counts)) {
    const random = seeded(`${seed} ${language}`);
    const some = documents.filter((document) => document.language === language);
    const seen = new Set<string>();
    for (let tries = 0; seen.size < count && tries < count * 50 && some.length > 0; tries += 1) {
      const place = placeIn(pick(some, random), kinds[seen.size % kinds.length] ?? 'line', random);
      if (place === undefined) continue;
      const key = `${place.before}\u0000${place.after}`;
      if (seen.has(key)) continue;
      seen.add(key);
      places.push(place);
    }
  }
  return places;
}

function placeIn(
  document: Document,
  kind: HeldOutPlace['kind'],
  random: () => number,
): HeldOutPlace | undefined {
  const lines = document.text.split('\n');
  const number = Math.floor(random() * lines.length);
  const line = lines[number] ?? '';
  const indent = /^\s*/.exec(line)?.[0].length ?? 0;
  if (line.trim().length < 4) return undefined;
  const height = kind === 'lines' ? 2 + Math.floor(random() * 3) : 1;
  if (number + height > lines.length) return undefined;
  const column = kind === 'tail' ? indent + 1 + Math.floor(random() * (line.length - indent - 1)) : indent;
  const start = lines.slice(0, number).join('\n').length + (number === 0 ? 0 : 1) + column;
  const wanted = lines
    .slice(number, number + height)
    .join('\n')
    .slice(column);
  if (wanted.trim() === '') return undefined;
  const end = start + wanted.length;
  return {
    kind,
    language: document.language,
    package: document.package,
    before: document.text.slice(Math.max(0, start - beforeCharacters), start),
    wanted,
    after: document.text.slice(end, end + afterCharacters),
  };
}

function pick<T>(items: readonly T[], random: () => number): T {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new RangeError('nothing to pick from');
  return item;
}
