/** The text of a document, read in parts, so that nothing is put together that nobody looks at. */
export interface DocumentText {
  /** In UTF-16 units. */
  readonly length: number;
  /** The units from `from` up to `to`, both within the text. */
  readonly slice: (from: number, to: number) => string;
}
