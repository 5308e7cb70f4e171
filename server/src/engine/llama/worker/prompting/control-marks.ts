/**
 * Keeps what clients write from becoming control tokens. A template is one text in the end, in which `<|im_end|>` of
 * the template and of a message look alike. So each such text in what a client wrote gets a mark into it, before the
 * template sees it; what is whole afterwards is the template's own. The mark is a character that occurs nowhere in the
 * input, and is taken out again.
 */

/** Finds the texts of control tokens, in time that hardly depends on how many there are. */
export class ControlTexts {
  /** Lengths of texts by their first UTF-16 unit, longest first. */
  readonly #lengths = new Map<string, number[]>();
  readonly #tokens: ReadonlyMap<string, number>;
  readonly #longest: number;
  /** Beginnings and ends of texts, none whole. */
  readonly #heads = new Set<string>();
  readonly #tails = new Set<string>();
  /** All texts, one behind the other. */
  readonly #all: string;

  constructor(tokens: ReadonlyMap<string, number>) {
    this.#tokens = new Map([...tokens].filter(([text]) => text !== ''));
    for (const text of this.#tokens.keys()) {
      const lengths = this.#lengths.get(text[0] ?? '') ?? [];
      if (!lengths.includes(text.length)) lengths.push(text.length);
      this.#lengths.set(
        text[0] ?? '',
        lengths.sort((one, other) => other - one),
      );
      for (let cut = 1; cut < text.length; cut += 1) {
        this.#heads.add(text.slice(0, cut));
        this.#tails.add(text.slice(cut));
      }
    }
    this.#all = [...this.#tokens.keys()].join('\0');
    this.#longest = Math.max(0, ...[...this.#tokens.keys()].map(({ length }) => length));
  }

  /** The longest control text that begins at `index`. */
  at(text: string, index: number): { readonly length: number; readonly token: number } | undefined {
    for (const length of this.#lengths.get(text[index] ?? '') ?? []) {
      const token = this.#tokens.get(text.slice(index, index + length));
      if (token !== undefined) return { length, token };
    }
    return undefined;
  }

  /** `text` with `mark` in all that is, or together with what stands beside it could become, a control text. */
  quote(text: string, mark: string): string {
    let quoted = '';
    let from = 0;
    for (let index = 0; index < text.length; index += 1) {
      const found = this.at(text, index);
      if (found === undefined) continue;
      // Behind its first character; before it where it has no other.
      const cut = found.length === 1 ? index : index + 1;
      quoted += text.slice(from, cut) + mark;
      from = cut;
    }
    quoted += text.slice(from);
    const closes = this.#closes(text) || this.#lies(text);
    return (this.#opens(text) ? mark : '') + quoted + (closes ? mark : '');
  }

  /** Whether `text` could be the end of a control text that something before it begins. */
  #opens(text: string): boolean {
    for (let length = 1; length < this.#longest; length += 1) {
      if (this.#tails.has(text.slice(0, length))) return true;
    }
    return false;
  }

  /** Whether it could be in the middle of one. */
  #lies(text: string): boolean {
    return text !== '' && text.length < this.#longest && this.#all.includes(text);
  }

  #closes(text: string): boolean {
    for (let length = 1; length < this.#longest && length <= text.length; length += 1) {
      if (this.#heads.has(text.slice(-length))) return true;
    }
    return false;
  }
}

/** A part of a rendered prompt: text without any power, or one control token. */
export type PromptPart =
  { readonly kind: 'text'; readonly text: string } | { readonly kind: 'token'; readonly token: number };

/** Takes a rendered text apart where whole control texts stand, and takes the marks out. */
export function splitAtControls(rendered: string, controls: ControlTexts, mark: string): PromptPart[] {
  const parts: PromptPart[] = [];
  let from = 0;
  const add = (to: number): void => {
    const text = rendered.slice(from, to).replaceAll(mark, '');
    if (text !== '') parts.push({ kind: 'text', text });
  };
  for (let index = 0; index < rendered.length;) {
    const found = controls.at(rendered, index);
    // A control text of one character has its mark before it.
    const isQuoted = found?.length === 1 && rendered[index - 1] === mark;
    if (found === undefined || isQuoted) {
      index += 1;
      continue;
    }
    add(index);
    parts.push({ kind: 'token', token: found.token });
    index += found.length;
    from = index;
  }
  add(rendered.length);
  return parts;
}

/** Characters that stand for nothing: noncharacters of Unicode first, then ends of the private use area. */
const marks: readonly string[] = [
  ...Array.from({ length: 32 }, (_, index) => String.fromCharCode(0xfd_d0 + index)),
  ...Array.from({ length: 256 }, (_, index) => String.fromCharCode(0xf8_ff - index)),
];

/** A character that is in none of `texts`; undefined: all that could be are. */
export function chooseMark(texts: readonly string[]): string | undefined {
  return marks.find((mark) => texts.every((text) => !text.includes(mark)));
}

/** Every text in `value`, names of its fields included. */
export function* textsIn(value: unknown): Generator<string, void, void> {
  if (typeof value === 'string') yield value;
  else if (Array.isArray(value)) for (const one of value) yield* textsIn(one);
  else if (typeof value === 'object' && value !== null) {
    for (const [name, one] of Object.entries(value)) {
      yield name;
      yield* textsIn(one);
    }
  }
}

/** `value` with each text in it changed, names of fields included. */
export function mapTexts(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === 'string') return change(value);
  if (Array.isArray(value)) return value.map((one: unknown) => mapTexts(one, change));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [change(name), mapTexts(one, change)]),
  );
}
