/** What of a model's answer is to replace the code. */

const fence = /^\s*(`{3,}|~{3,})/;

/** Whether an answer has a block of code, as it was asked to; what has none may be talk. */
export function hasBlock(answer: string): boolean {
  return answer.split(/\r?\n/).some((line) => fence.test(line));
}

/**
 * The code in an answer, as lines: what stands in its first fenced block, or all of it where there is no fence. While
 * the answer is being written only whole lines count.
 */
export function codeInAnswer(answer: string, finished: boolean): readonly string[] {
  const all = answer.split(/\r?\n/);
  const lines = finished ? all : all.slice(0, -1);
  const opening = lines.findIndex((line) => fence.test(line));
  if (opening === -1) return finished ? withoutLastBlank(lines) : lines;
  const mark = fence.exec(lines[opening] ?? '')?.[1] ?? '```';
  const inside = lines.slice(opening + 1);
  const closing = inside.findIndex((line) => line.trim() === mark);
  return closing === -1 ? inside : inside.slice(0, closing);
}

function withoutLastBlank(lines: readonly string[]): readonly string[] {
  return lines.at(-1)?.trim() === '' ? lines.slice(0, -1) : lines;
}

/**
 * `lines` moved to the right to where the code stood that they replace: small models tend to begin at the margin. Only
 * ever moved as a whole, and never to the left.
 */
export function indentLike(lines: readonly string[], original: readonly string[]): readonly string[] {
  const wanted = indentOf(original);
  const given = indentOf(lines);
  if (!wanted.startsWith(given) || wanted === given) return lines;
  const missing = wanted.slice(given.length);
  return lines.map((line) => (line.trim() === '' ? line : missing + line));
}

/** The indentation of the first line that is not blank. */
function indentOf(lines: readonly string[]): string {
  const first = lines.find((line) => line.trim() !== '') ?? '';
  return /^[ \t]*/.exec(first)?.[0] ?? '';
}
