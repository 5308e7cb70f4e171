import type { GenerationInput } from '@hearth/protocol';

/** How much of a prompt's end is looked for, in UTF-16 units: the longest that is found counts. */
const longest = 120;
const shortest = 3;
/** How much of the suffix is looked for. */
const suffixLength = 24;
/** What one token of it is, in UTF-16 units. */
const tokenLength = 4;

/**
 * The tokens by which a model that knows `document` by heart would continue an input: from where the end of the prompt
 * stands in it, up to where the suffix does, or to the first of the texts that stop. None where it stands nowhere. Of a
 * suffix that only closes brackets, the place is where the document closes one that was open before.
 *
 * @param seed where the end of the prompt stands more than once: which of them, the first for 0
 */
export function continuation(
  document: string,
  input: GenerationInput,
  stop: readonly string[],
  seed: number,
): readonly string[] {
  if (input.kind === 'chat') return [];
  const prompt = input.kind === 'raw' ? input.prompt : input.prefix;
  const from = placeOf(document, prompt.replaceAll('\r\n', '\n'), seed);
  if (from === undefined) return [];
  let text = document.slice(from);
  const suffix = input.kind === 'infill' ? input.suffix.slice(0, suffixLength) : '';
  const ends = [endAt(text, suffix), ...stop.map((one) => text.indexOf(one))];
  for (const end of ends) if (end !== -1) text = text.slice(0, end);
  return text.match(new RegExp(`[^]{1,${tokenLength}}`, 'gu')) ?? [];
}

/** Where `suffix` goes on in `text`; -1 where nowhere. */
function endAt(text: string, suffix: string): number {
  if (suffix.trim() === '') return -1;
  if (!/^\s*[)\]}][)\]};,\s]*$/.test(suffix)) return text.indexOf(suffix);
  let open = 0;
  for (const { 0: bracket, index } of text.matchAll(/[()[\]{}]/g)) {
    open += /[([{]/.test(bracket) ? 1 : -1;
    if (open < 0) return index;
  }
  return -1;
}

function placeOf(document: string, prompt: string, seed: number): number | undefined {
  for (let length = Math.min(longest, prompt.length); length >= shortest; length -= 1) {
    const places = placesOf(document, prompt.slice(-length));
    // Alternatives are there only where less of the prompt decides.
    if (places.length > seed || (places.length > 0 && length < 2 * shortest))
      return (places[seed % places.length] ?? 0) + length;
  }
  return undefined;
}

function placesOf(document: string, text: string): readonly number[] {
  const places: number[] = [];
  for (let at = document.indexOf(text); at !== -1; at = document.indexOf(text, at + 1)) places.push(at);
  return places;
}
