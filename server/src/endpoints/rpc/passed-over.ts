/**
 * A message that is too long to be held, and is read past: an editor tells of each document that is opened, however
 * long, and must not lose its connection over that. What is kept are its first and its last bytes, which say which
 * document it was about.
 */
export interface PassedOver {
  /** Bytes that are still to come. */
  readonly missing: () => number;
  /** Takes what belongs to the message, and returns what is left of `chunk`. */
  readonly take: (chunk: Buffer) => Buffer;
  /** `other`: it is no notice of a document, as far as its beginning says. */
  readonly kind: () => 'undecided' | 'document' | 'other';
  /** The document, once nothing is missing; undefined where that cannot be told. */
  readonly uri: () => string | undefined;
}

/** Longest message that is read past: 1 GiB. */
export const mostPassedOver = 1_073_741_824;
/** Bytes kept of either end. */
const kept = 4096;

/** Quotes inside a text are escaped in JSON, so that no text can be taken for these. */
const aboutDocument =
  /"method"\s*:\s*"textDocument\/did(?:Open|Change|Save)"|"params"\s*:\s*\{\s*"(?:textDocument|contentChanges)"\s*:/;
const hasId = /"id"\s*:/;
const itsUri = /"uri"\s*:\s*("(?:[^"\\]|\\.)*")/;

export function passOver(length: number): PassedOver {
  let missing = length;
  let head = Buffer.alloc(0);
  let tail = Buffer.alloc(0);
  return {
    missing: () => missing,
    take: (chunk) => {
      const part = chunk.subarray(0, missing);
      missing -= part.length;
      if (head.length < kept) head = Buffer.concat([head, part.subarray(0, kept - head.length)]);
      tail = Buffer.concat([tail, part.subarray(-kept)]).subarray(-kept);
      return chunk.subarray(part.length);
    },
    kind: () => {
      if (head.length < kept) return 'undecided';
      const text = head.toString('utf8');
      return aboutDocument.test(text) && !hasId.test(text) ? 'document' : 'other';
    },
    uri: () => uriIn(head) ?? uriIn(tail),
  };
}

function uriIn(bytes: Buffer): string | undefined {
  const quoted = itsUri.exec(bytes.toString('utf8'))?.[1];
  if (quoted === undefined) return undefined;
  try {
    const uri: unknown = JSON.parse(quoted);
    return typeof uri === 'string' ? uri : undefined;
  } catch {
    return undefined;
  }
}
