/** A schema that cannot be enforced. `pointer` is the JSON pointer of what is in the way; neither holds a value. */
export class SchemaError extends Error {
  override readonly name = 'SchemaError';
  readonly pointer: string;

  /** @param reason A sentence that says what to do about it. */
  constructor(pointer: string, reason: string) {
    super(`${pointer === '' ? 'The schema' : shorten(pointer)}: ${reason}`);
    this.pointer = pointer;
  }
}

/** The end says more than the beginning. */
function shorten(pointer: string): string {
  return pointer.length <= 200 ? pointer : `…${pointer.slice(-200)}`;
}

/** One level deeper. */
export function below(pointer: string, ...names: readonly (string | number)[]): string {
  return names.reduce<string>(
    (path, name) => `${path}/${String(name).replaceAll('~', '~0').replaceAll('/', '~1')}`,
    pointer,
  );
}
