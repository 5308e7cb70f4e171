const encoder = new TextEncoder();

/** Bytes that `text` takes in UTF-8. A lone surrogate counts as the replacement character that it becomes. */
export function utf8Length(text: string): number {
  return encoder.encode(text).length;
}

/** `text` in UTF-8. */
export function utf8Bytes(text: string): Uint8Array {
  return encoder.encode(text);
}
