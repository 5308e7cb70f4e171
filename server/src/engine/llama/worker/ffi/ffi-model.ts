import type { Pointer } from './binder.js';
import { GuardError, Handle, requireRange } from './handle.js';
import type { Native } from './native.js';

/** Longest metadata value that is read, in bytes. */
const mostMetadataBytes = 1024 * 1024;
/** Bits of `llama_token_attr`. */
const [unknownKind, controlKind] = [1, 8] as const;
/** Longest text that is turned into tokens at once, in bytes. */
const mostTextBytes = 64 * 1024 * 1024;

/** A loaded model: its vocabulary, its facts. It may be freed only when no context of it is left. */
export class FfiModel {
  readonly native: Native;
  readonly vocabularySize: number;
  /** Whether the last tokens of a sequence can be taken back: a recurrent model would lose all of it. */
  readonly keepsTails: boolean;
  readonly #handle: Handle;
  readonly #vocabulary: Pointer;
  readonly #pieces = new Map<number, Buffer>();
  readonly #buffer = Buffer.alloc(1024);
  #contexts = 0;

  constructor(native: Native, pointer: Pointer | undefined) {
    this.native = native;
    this.#handle = new Handle('model', pointer);
    const vocabulary = native.vocabulary(this.#handle.pointer);
    if (vocabulary === undefined) throw new GuardError('The model has no vocabulary.');
    this.#vocabulary = vocabulary;
    this.vocabularySize = native.countVocabulary(vocabulary);
    this.keepsTails = !native.isRecurrent(this.#handle.pointer) && !native.isHybrid(this.#handle.pointer);
  }

  /** @throws GuardError after {@link free}. */
  get pointer(): Pointer {
    return this.#handle.pointer;
  }

  /** @throws GuardError after {@link free}. */
  get vocabulary(): Pointer {
    this.#handle.requireLife();
    return this.#vocabulary;
  }

  /** Says that a context of this model lives, or no longer does. */
  countContext(change: 1 | -1): void {
    this.#contexts += change;
  }

  /** @throws GuardError while a context of it lives. */
  free(): void {
    if (this.#contexts > 0) throw new GuardError('The model still has a context.');
    this.#handle.free(this.native.freeModel);
  }

  /**
   * Tokens of `text`.
   *
   * @param special Marks of special tokens in it become those tokens.
   * @param around With the tokens that the model wants at the begin and end of a text.
   */
  tokenize(text: string, special = false, around = false): number[] {
    if (text === '' && !around) return [];
    const bytes = Buffer.from(text, 'utf8');
    requireRange('length of a text', bytes.length, 0, mostTextBytes);
    const run = (room: number): { count: number; tokens: Int32Array } => {
      const tokens = new Int32Array(Math.max(16, room));
      const { length } = tokens;
      const count = this.native.tokenize(
        this.vocabulary,
        bytes,
        bytes.length,
        tokens,
        length,
        around,
        special,
      );
      return { count, tokens };
    };
    let { count, tokens } = run(bytes.length + 16);
    if (count < 0) ({ count, tokens } = run(-count));
    if (count < 0) throw new GuardError('The text could not be turned into tokens.');
    return Array.from(tokens.subarray(0, count));
  }

  /** The bytes that a token stands for; none for a special one. */
  piece(token: number): Buffer {
    const known = this.#pieces.get(token);
    if (known !== undefined) return known;
    const piece = this.#readPiece(token, false);
    this.#pieces.set(token, piece);
    return piece;
  }

  /** The text that a token stands for, marks of special ones included, without remembering it. */
  readPiece(token: number): Buffer {
    return this.#readPiece(token, true);
  }

  /** Tokens that are no text, by the text that stands for them in a chat template. It looks at the whole vocabulary. */
  controlTokens(): ReadonlyMap<string, number> {
    const found = new Map<string, number>();
    for (let token = 0; token < this.vocabularySize; token += 1) {
      const isText = (this.native.tokenKind(this.vocabulary, token) & (unknownKind | controlKind)) === 0;
      const text = isText ? '' : this.#readPiece(token, true).toString('utf8');
      if (text !== '') found.set(text, token);
    }
    return found;
  }

  /** Text of `tokens`; half a character comes as U+FFFD. */
  detokenize(tokens: readonly number[], marks?: 'shown'): string {
    if (marks === 'shown') {
      return Buffer.concat(tokens.map((token) => this.#readPiece(token, true))).toString('utf8');
    }
    const [only] = tokens;
    if (tokens.length === 1 && only !== undefined) return this.piece(only).toString('utf8');
    return Buffer.concat(tokens.map((token) => this.piece(token))).toString('utf8');
  }

  isEnd(token: number): boolean {
    this.requireToken(token);
    return this.native.isEnd(this.vocabulary, token);
  }

  /** A special token's id by the function that gives it, or undefined where the vocabulary has none. */
  special(
    name:
      | 'begin'
      | 'end'
      | 'endOfTurn'
      | 'separator'
      | 'infillPrefix'
      | 'infillSuffix'
      | 'infillMiddle'
      | 'infillRepository'
      | 'infillSeparator',
  ): number | undefined {
    const token = this.native[name](this.vocabulary);
    return token >= 0 && token < this.vocabularySize ? token : undefined;
  }

  get addsBegin(): boolean {
    return this.native.addsBegin(this.vocabulary);
  }

  get addsEnd(): boolean {
    return this.native.addsEnd(this.vocabulary);
  }

  get addsSeparator(): boolean {
    return this.native.addsSeparator(this.vocabulary);
  }

  /** A metadata value of the GGUF as text, or undefined where it has none. */
  metadata(key: string): string | undefined {
    const length = this.native.metadata(this.pointer, key, this.#buffer, this.#buffer.length);
    if (length < 0) return undefined;
    if (length < this.#buffer.length) return this.#buffer.toString('utf8', 0, length);
    if (length >= mostMetadataBytes) return undefined;
    const large = Buffer.alloc(length + 1);
    const read = this.native.metadata(this.pointer, key, large, large.length);
    return read < 0 ? undefined : large.toString('utf8', 0, Math.min(read, length));
  }

  /** @throws GuardError where the vocabulary has no such token. */
  requireToken(token: number): void {
    requireRange('token', token, 0, this.vocabularySize - 1);
  }

  #readPiece(token: number, special: boolean): Buffer {
    this.requireToken(token);
    const read = (buffer: Buffer): number =>
      this.native.piece(this.vocabulary, token, buffer, buffer.length, 0, special);
    const length = read(this.#buffer);
    if (length >= 0) return Buffer.from(this.#buffer.subarray(0, length));
    const large = Buffer.alloc(-length);
    return large.subarray(0, Math.max(0, read(large)));
  }
}
