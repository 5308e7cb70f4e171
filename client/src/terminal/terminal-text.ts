/** What of a terminal's text a model is shown. */

/** Most characters; what went wrong last stands at the end. */
export const longestTerminalText = 6000;

/** The end of `text`, from the start of a line, without the spaces that terminals fill their lines with. */
export function endOfOutput(text: string, characters = longestTerminalText): string {
  const lines = text
    .split(/\r?\n/)
    .map((line) => line.trimEnd())
    .join('\n')
    .trim();
  if (lines.length <= characters) return lines;
  const end = lines.slice(-characters);
  const start = end.indexOf('\n');
  return start === -1 ? end : end.slice(start + 1);
}
