/** Bounds of the wire. Each is checked before the thing that it bounds costs anything. */
export const limits = {
  /** Largest NDJSON line in bytes, its line feed not counted: 64 MiB (behaviours.md 1.2). */
  frameBytes: 67_108_864,
  /** Deepest nesting of one line (row 6: deeper is malformed). */
  jsonDepth: 128,
  /** Most values in one line: objects, arrays and what they hold. A full request has some 13 000. */
  jsonValues: 262_144,
  /** The same for a line that the daemon wrote, which may hold vectors. */
  answerValues: 4_718_592,
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
  /** Most blocks in the content of one message. */
  blocks: 1024,
  /** Most attachments in a request (row 32). */
  attachments: 32,
  /** Most bytes of all attachments of a request together, as they are declared: 128 MiB (row 32). */
  attachmentBytes: 134_217_728,
  /** Most tools in a request. */
  tools: 128,
  /** Longest description of a tool in UTF-16 units. */
  toolDescription: 65_536,
  /** Most files that one fill-in-the-middle request brings along. */
  infillFiles: 64,
  /** Longest path of such a file in UTF-16 units. */
  filePath: 1024,
  /** Most tokens in a logit bias. */
  logitBiases: 1024,
  /** Most alternatives a token whose log-probabilities are asked for. */
  logprobs: 20,
  /** Most texts in one request for embeddings. */
  embedInputs: 2048,
  /** Most numbers of all vectors that one answer gives: they fit into a frame. */
  embedNumbers: 4_194_304,
  /** Most documents in one request to rerank (row 36). */
  rerankDocuments: 256,
  /** Most bytes of query and documents together: 8 MiB (row 36). */
  rerankBytes: 8_388_608,
  /** Most bytes of text that one `tokenize` takes: 1 MiB. */
  tokenizeBytes: 1_048_576,
  /** Most tokens that one `detokenize` takes. */
  detokenizeTokens: 262_144,
  /** Longest deadline of a request in milliseconds: a day. */
  deadlineMs: 86_400_000,
  /** Largest body of a message on a channel, in bytes of JSON. */
  channelBodyBytes: 1_048_576,
  /** Most events of one subscription that are not acknowledged. */
  inFlightEvents: 4096,
  /** Longest wait for an answer of another client, in milliseconds. */
  replyTimeoutMs: 600_000,
  /** Most texts in one `hearth/countTokens` request. */
  countTexts: 256,
} as const;
