/**
 * What a router needs to know of a request, read from the bytes of its body without building the value: a body of a
 * megabyte of text costs a few searches for quotes. What is no JSON object is nothing to route by.
 */
export interface RequestFacts {
  readonly model: string | undefined;
  /** `prompt_cache_key`. */
  readonly sessionKey: string | undefined;
  /** Bytes of text in `messages`, `prompt` and `input`, as they are written. */
  readonly textBytes: number;
  /** Where the parts of the prompt lie, in the order in which a template would render them. */
  readonly parts: readonly ByteRange[];
}

/** Offsets into the body: from, and up to. */
export type ByteRange = readonly [from: number, to: number];

const quote = 0x22;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const colon = 0x3a;
const comma = 0x2c;

/** Longest name of a model, or key of a session, that is looked at, in bytes. */
const longestName = 1024;

/** Reads `body`. Undefined: it is no JSON object, or is cut off. */
export function peekRequest(body: Buffer): RequestFacts | undefined {
  let at = skipSpace(body, 0);
  if (body[at] !== openBrace) return undefined;
  let model: string | undefined;
  let sessionKey: string | undefined;
  let tools: readonly ByteRange[] = [];
  let texts: readonly ByteRange[] = [];
  let textBytes = 0;
  at = skipSpace(body, at + 1);
  while (body[at] !== closeBrace) {
    if (body[at] !== quote) return undefined;
    const keyEnd = stringEnd(body, at);
    const key = keyEnd < 0 || keyEnd - at > 64 ? '' : body.toString('latin1', at + 1, keyEnd - 1);
    if (keyEnd < 0) return undefined;
    at = skipSpace(body, keyEnd);
    if (body[at] !== colon) return undefined;
    const from = skipSpace(body, at + 1);
    const to = valueEnd(body, from);
    if (to < 0) return undefined;
    if (key === 'model') model = textOf(body, from, to);
    else if (key === 'prompt_cache_key') sessionKey = textOf(body, from, to);
    else if (key === 'tools') tools = [[from, to]];
    else if (key === 'messages' || key === 'prompt' || key === 'input') {
      const found = findTexts(body, from, to);
      texts = found.parts;
      textBytes = found.bytes;
    }
    at = skipSpace(body, to);
    if (body[at] === comma) at = skipSpace(body, at + 1);
    else if (body[at] !== closeBrace) return undefined;
  }
  return { model, sessionKey, textBytes, parts: [...tools, ...texts] };
}

/** The texts and roles of a conversation or prompt, and how many bytes are text. Images and the like are neither. */
function findTexts(body: Buffer, from: number, to: number): { parts: readonly ByteRange[]; bytes: number } {
  const parts: ByteRange[] = [];
  let bytes = 0;
  let key = '';
  for (let at = body.indexOf(quote, from); at >= 0 && at < to; at = body.indexOf(quote, at)) {
    const end = stringEnd(body, at);
    if (end < 0) break;
    if (body[skipSpace(body, end)] === colon) {
      key = body.toString('latin1', at + 1, Math.min(end - 1, at + 33));
    } else if (key === '' || key === 'content' || key === 'text') {
      parts.push([at + 1, end - 1]);
      bytes += end - at - 2;
    } else if (key === 'role') {
      parts.push([at + 1, end - 1]);
    }
    at = end;
  }
  return { parts, bytes };
}

/** The offset behind the string that begins at `at`; -1: it has no end. */
function stringEnd(body: Buffer, at: number): number {
  for (let end = body.indexOf(quote, at + 1); end >= 0; end = body.indexOf(quote, end + 1)) {
    let slashes = 0;
    while (body[end - 1 - slashes] === backslash) slashes += 1;
    if (slashes % 2 === 0) return end + 1;
  }
  return -1;
}

/** The offset behind the value that begins at `at`; -1: it has no end. */
function valueEnd(body: Buffer, from: number): number {
  let depth = 0;
  for (let at = from; at < body.length;) {
    const byte = body[at];
    if (byte === quote) {
      at = stringEnd(body, at);
      if (at < 0) return -1;
      if (depth === 0) return at;
      continue;
    }
    if (byte === openBrace || byte === openBracket) depth += 1;
    else if (byte === closeBrace || byte === closeBracket) {
      // The end of what a bare number or word stands in.
      if (depth === 0) return at > from ? at : -1;
      depth -= 1;
      if (depth === 0) return at + 1;
    } else if (depth === 0 && (byte === comma || isSpace(byte))) return at > from ? at : -1;
    at += 1;
  }
  return -1;
}

/** The text of a JSON string; undefined where the value is none, or is too long. */
function textOf(body: Buffer, from: number, to: number): string | undefined {
  if (body[from] !== quote || to - from > longestName) return undefined;
  try {
    const value: unknown = JSON.parse(body.toString('utf8', from, to));
    return typeof value === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}

function skipSpace(body: Buffer, from: number): number {
  let at = from;
  while (isSpace(body[at])) at += 1;
  return at;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
