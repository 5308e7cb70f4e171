/** Names that a model suggests for a symbol: what it is asked, and what of its answer is one. */

/** Most names that are offered. */
export const mostNames = 5;
/** Most characters of a name. */
const longestName = 40;

export const namesSystem =
  'You suggest names for symbols in source code. Names say what a thing is for, follow the customs of the language and of the code around, and are no longer than they need to be.';

/** The model's answer, as JSON Schema. */
export const namesSchema: Readonly<Record<string, unknown>> = {
  type: 'array',
  items: { type: 'string', pattern: `^[A-Za-z_][A-Za-z0-9_]{0,${longestName - 1}}$` },
  // A small model would stop at the name that it sees.
  minItems: 3,
  maxItems: mostNames,
};

/** The names in a model's answer: each once, without the one that it has already. */
export function namesIn(answer: string, present: string): readonly string[] {
  const names = parsed(answer).filter(
    (name): name is string => typeof name === 'string' && /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(name),
  );
  return [...new Set(names)]
    .filter((name) => name !== present && name.length <= longestName)
    .slice(0, mostNames);
}

/** An answer that was cut off has its last name missing. */
function parsed(answer: string): readonly unknown[] {
  for (const text of [answer, `${answer.slice(0, answer.lastIndexOf(','))}]`]) {
    try {
      const value: unknown = JSON.parse(text);
      if (Array.isArray(value)) return value;
    } catch {
      // The next reading may do.
    }
  }
  return [];
}
