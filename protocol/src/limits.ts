/** Bounds of the wire. Each is checked before the thing that it bounds costs anything. */
export const limits = {
  /** Largest NDJSON line in bytes, its line feed not counted: 64 MiB (behaviours.md 1.2). */
  frameBytes: 67_108_864,
  /** Deepest nesting of one line (row 6: deeper is malformed). */
  jsonDepth: 128,
  /** Most values in one line: objects, arrays and what they hold. A full request has some 13 000. */
  jsonValues: 262_144,
  /** Largest request id in UTF-16 units. */
  idLength: 256,
  /** Most messages in one request. */
  messages: 4096,
  /** Largest GBNF grammar in bytes (row 19). */
  grammarBytes: 65_536,
  /** Most alternations (`|` bytes) in a GBNF grammar (row 19). */
  grammarAlternations: 4096,
  /** Most stop strings in a request. */
  stopStrings: 16,
  /** Longest stop string in UTF-16 units. */
  stopLength: 256,
  /** Longest deadline of a request in milliseconds: a day. */
  deadlineMs: 86_400_000,
  /** Most texts in one `hearth/countTokens` request. */
  countTexts: 256,
} as const;
