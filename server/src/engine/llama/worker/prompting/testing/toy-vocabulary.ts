import type { InfillVocabulary, Vocabulary } from '../vocabulary.js';

export interface ToyOptions {
  readonly controls?: readonly string[];
  readonly begin?: string;
  readonly end?: string;
  readonly addBegin?: boolean;
  readonly template?: string;
  /** What the model file says beside that, by its full key. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly infill?: Partial<Record<keyof InfillVocabulary, string>>;
  /** Puts a blank before each text, as SentencePiece does. */
  readonly blank?: boolean;
}

/** A vocabulary with a token for each character and one for each control text; {@link toyText} reads it back. */
export function toyVocabulary(options: ToyOptions = {}): Vocabulary {
  const { controls = [], begin, end, addBegin = false, template, infill = {}, blank = false } = options;
  const controlTokens = new Map(controls.map((text, index) => [text, index]));
  const token = (text: string | undefined): number | undefined =>
    text === undefined ? undefined : controlTokens.get(text);
  const characters = (text: string): readonly number[] =>
    Array.from(
      blank && text !== '' ? ` ${text}` : text,
      (character) => firstCharacter + (character.codePointAt(0) ?? 0),
    );
  return {
    special: {
      begin: token(begin),
      end: token(end),
      endOfTurn: undefined,
      addBegin,
      infill: {
        prefix: token(infill.prefix),
        suffix: token(infill.suffix),
        middle: token(infill.middle),
        repository: token(infill.repository),
        fileSeparator: token(infill.fileSeparator),
      },
    },
    controlTokens,
    metadata: (key) => (key === 'tokenizer.chat_template' ? template : options.metadata?.[key]),
    tokenize: (text, marks) => {
      if (marks === 'text') return characters(text);
      const tokens: number[] = [];
      let from = 0;
      for (let index = 0; index < text.length;) {
        const found = controls.find((control) => text.startsWith(control, index));
        if (found === undefined) {
          index += 1;
          continue;
        }
        tokens.push(...characters(text.slice(from, index)), controlTokens.get(found) ?? 0);
        index += found.length;
        from = index;
      }
      return [...tokens, ...characters(text.slice(from))];
    },
  };
}

const firstCharacter = 100_000;

/** Tokens as text again: control tokens in braces, so that they differ from text that looks like them. */
export function toyText(tokens: readonly number[], vocabulary: Vocabulary): string {
  const names = new Map([...vocabulary.controlTokens].map(([text, id]) => [id, text]));
  return tokens
    .map((token) =>
      token >= firstCharacter ? String.fromCodePoint(token - firstCharacter) : `{${names.get(token) ?? '?'}}`,
    )
    .join('');
}
