import type { ToolCall } from '@hearth/protocol';
import { RequestError } from '../../request-error.js';

/**
 * Finds calls in what a model writes behind the opening of calls, whatever the dialect: each is one JSON object, with
 * marks between them that are passed over.
 */
export class CallScanner {
  readonly #names: ReadonlySet<string>;
  readonly #nextId: () => string;
  /** Text since the last call that is in no object. */
  #before = '';
  #object = '';
  #depth = 0;
  #inText = false;
  #isEscaped = false;
  #found = 0;

  /** @param begun What of the first call has been written already. */
  constructor(names: ReadonlySet<string>, nextId: () => string, begun = '') {
    this.#names = names;
    this.#nextId = nextId;
    this.push(begun);
  }

  /** Takes text; gives the calls that are now whole. @throws RequestError `tool_call_malformed`. */
  push(text: string): readonly ToolCall[] {
    const calls: ToolCall[] = [];
    for (const character of text) {
      if (this.#take(character)) calls.push(this.#finishObject());
    }
    return calls;
  }

  /** @throws RequestError `tool_call_malformed` where a call was begun and is none. */
  finish(): void {
    if (this.#depth > 0 || this.#found === 0) throw malformed();
  }

  /** Whether an object has come to its end. */
  #take(character: string): boolean {
    if (this.#depth === 0 && character !== '{') {
      // Enough for a name with its marks.
      this.#before = (this.#before + character).slice(-256);
      return false;
    }
    this.#object += character;
    if (this.#inText) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (character === '\\') this.#isEscaped = true;
      else if (character === '"') this.#inText = false;
      return false;
    }
    if (character === '"') this.#inText = true;
    else if (character === '{') this.#depth += 1;
    else if (character === '}') this.#depth -= 1;
    return this.#depth === 0;
  }

  #finishObject(): ToolCall {
    const value = parseObject(this.#object);
    const name = /([A-Za-z0-9_-]+)(?:\[CALL_ID\][A-Za-z0-9]*)?\[ARGS\]\s*$/u.exec(this.#before)?.[1];
    this.#object = '';
    this.#before = '';
    this.#found += 1;
    const call = name === undefined ? callIn(value) : { name, input: value };
    if (!this.#names.has(call.name)) throw malformed();
    return { id: this.#nextId(), name: call.name, arguments: JSON.stringify(call.input) };
  }
}

function callIn(value: Readonly<Record<string, unknown>>): { readonly name: string; readonly input: object } {
  const { name } = value;
  const given = value['arguments'] ?? value['parameters'] ?? {};
  if (typeof name !== 'string') throw malformed();
  return { name, input: typeof given === 'string' ? parseObject(given) : asObject(given) };
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    return asObject(JSON.parse(text));
  } catch (error) {
    throw malformed(error);
  }
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed();
  return value as Readonly<Record<string, unknown>>;
}

function malformed(cause?: unknown): RequestError {
  return new RequestError(
    'tool_call_malformed',
    'The model wrote a call of a tool that is none. Ask again, or describe the tools more plainly.',
    { cause },
  );
}
