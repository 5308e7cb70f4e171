import { limits } from './limits.js';

/** A JSON object as `JSON.parse` gives it: own keys only, values unchecked. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** What one line of text turned out to be. `reason` is for diagnosis and never holds content. */
export type ParsedJson =
  | { readonly kind: 'value'; readonly value: JsonObject }
  | { readonly kind: 'malformed'; readonly reason: 'not_json' | 'not_object' | 'too_complex' };

/**
 * Parses a text that must be one JSON object. Never throws.
 *
 * Depth and the number of values are bounded before anything is built ({@link limits}): 64 MiB of `[` or of
 * `{},` would otherwise cost gigabytes.
 */
export function parseJsonObject(text: string, mostValues: number = limits.jsonValues): ParsedJson {
  if (!isSimpleEnough(text, mostValues)) return { kind: 'malformed', reason: 'too_complex' };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The error's own message quotes the text, so it goes no further.
    return { kind: 'malformed', reason: 'not_json' };
  }
  if (!isJsonObject(value)) return { kind: 'malformed', reason: 'not_object' };
  return { kind: 'value', value };
}

/** Whether `value` is an object as JSON means it: neither null nor an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const quote = 0x22;
const comma = 0x2c;
const openBracket = 0x5b;
const backslash = 0x5c;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/** One pass over the structure. Strings are skipped by `indexOf`, so long contents cost next to nothing. */
function isSimpleEnough(text: string, mostValues: number): boolean {
  let depth = 0;
  let values = 1;
  for (let index = 0; index < text.length; index += 1) {
    switch (text.charCodeAt(index)) {
      case quote:
        index = closingQuote(text, index);
        if (index === -1) return true; // Not JSON at all: JSON.parse says so, and builds nothing more.
        break;
      case openBracket:
      case openBrace:
        depth += 1;
        values += 1;
        break;
      case closeBracket:
      case closeBrace:
        depth -= 1;
        break;
      case comma:
        values += 1;
        break;
      default:
        break;
    }
    if (depth > limits.jsonDepth || values > mostValues) return false;
  }
  return true;
}

/** Index of the quote that ends the string which starts at `start`, or -1. */
function closingQuote(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let first = end;
    while (text.charCodeAt(first - 1) === backslash) first -= 1;
    if ((end - first) % 2 === 0) return end;
  }
  return -1;
}
