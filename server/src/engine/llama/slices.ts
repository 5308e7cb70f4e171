/** Most texts that one message to the worker holds, so that an abort waits for no more, and answers stay small. */
const mostTexts = 32;
/** UTF-16 units after which no further text is put into a message. */
const manyUnits = 65_536;

/** `texts` in order, a few at a time; each slice has at least one. */
export function* slicesOf(texts: readonly string[]): Generator<readonly string[], void, void> {
  let slice: string[] = [];
  let units = 0;
  for (const text of texts) {
    slice.push(text);
    units += text.length;
    if (slice.length < mostTexts && units < manyUnits) continue;
    yield slice;
    slice = [];
    units = 0;
  }
  if (slice.length > 0) yield slice;
}
