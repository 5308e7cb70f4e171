import { ghostLines, restOfLine, type CursorContext } from './ghost-prompt.js';

/**
 * What of a completion is worth showing: nothing that the document already says, no line that only repeats the
 * one above it, no blank end. Empty where nothing is left.
 */
export function ghostText(completion: string, { before, after }: CursorContext): string {
  const rest = restOfLine(after);
  const lines = (rest.trim() === '' ? completion : restOfLine(completion)).split('\n').slice(0, ghostLines);
  const kept = withoutNextLine(withoutRepeats(lines, before), after).join('\n').trimEnd();
  const text = withoutRest(kept, rest);
  return text.trim() === '' ? '' : text;
}

/** Stops at the first line that says again what the line above it said: a small model's loop. */
function withoutRepeats(lines: readonly string[], before: string): readonly string[] {
  const lineSoFar = before.slice(before.lastIndexOf('\n') + 1);
  let above: string | undefined;
  const kept: string[] = [];
  for (const line of lines) {
    const whole = (kept.length === 0 ? lineSoFar + line : line).trim();
    if (whole !== '' && whole === above) break;
    if (whole !== '') above = whole;
    kept.push(line);
  }
  return kept;
}

/** Leaves out an end that already stands after the cursor, such as a closing bracket. */
function withoutRest(text: string, rest: string): string {
  const tail = rest.trim();
  return tail !== '' && text.endsWith(tail) ? text.slice(0, -tail.length) : text;
}

/** Leaves out everything from the line on that the document's next line already says. */
function withoutNextLine(lines: readonly string[], after: string): readonly string[] {
  const next = after
    .split('\n')
    .slice(1)
    .find((line) => line.trim() !== '');
  const known = next === undefined ? -1 : lines.findIndex((line) => line.trim() === next.trim());
  return known === -1 ? lines : lines.slice(0, known);
}
