/**
 * What of llama.cpp's log tells why a model could not be loaded. Only sentences that are known are taken, and only
 * names and figures out of them: a line may hold a path.
 */
const reasons: readonly (readonly [RegExp, (...found: readonly string[]) => string])[] = [
  [
    /unknown model architecture: '([\w.-]{1,64})'/u,
    (name = '') =>
      `The engine does not know models of the architecture "${name}". Update Hearth, or use another model.`,
  ],
  [
    /missing tensor '([\w.-]{1,96})'/u,
    (name = '') =>
      `The engine could not load the model file: it lacks the weights "${name}". Try another file.`,
  ],
  [
    /tensor '([\w.-]{1,96})' .{0,40}not within the file bounds/u,
    (name = '') =>
      `The engine could not load the model file: the weights "${name}" lie beyond its end. Download it again.`,
  ],
  [
    /tensor '([\w.-]{1,96})' has wrong shape/u,
    (name = '') =>
      `The engine could not load the model file: the weights "${name}" have the wrong shape. Try another file.`,
  ],
  [
    /key not found in model: ([\w.-]{1,96})/u,
    (key = '') => `The engine could not load the model file: it does not say "${key}". Try another file.`,
  ],
  [
    /invalid magic characters/u,
    () => 'The engine could not load the model file: it is no GGUF file. Try another file.',
  ],
  [
    /unable to allocate .{0,40}buffer|failed to allocate/u,
    () => 'The engine could not load the model file: there is not enough free memory for it.',
  ],
];

/** A sentence for the user without a path, or undefined where the log says nothing that is known. */
export function explainLog(lines: readonly string[]): string | undefined {
  for (const [pattern, explain] of reasons) {
    for (const line of lines) {
      const found = pattern.exec(line);
      if (found !== null) return explain(...found.slice(1));
    }
  }
  return undefined;
}
