/** How alike two texts are, 0 to 1: 1 − Levenshtein distance ÷ the longer length. Two empty texts are alike. */
export function editSimilarity(a: string, b: string): number {
  const longer = Math.max(a.length, b.length);
  return longer === 0 ? 1 : 1 - levenshtein(a, b) / longer;
}

function levenshtein(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(change, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    previous = row;
  }
  return previous[b.length] ?? 0;
}

/** A share with its standard error, both 0 to 1; of nothing it is undefined. */
export interface Share {
  readonly of: number;
  readonly share: number | undefined;
  readonly error: number | undefined;
}

export function shareOf<T>(items: readonly T[], holds: (item: T) => boolean): Share {
  const of = items.length;
  if (of === 0) return { of, share: undefined, error: undefined };
  const share = items.filter(holds).length / of;
  return { of, share, error: Math.sqrt((share * (1 - share)) / of) };
}

/** The arithmetic mean; undefined for no numbers. */
export function mean(numbers: readonly number[]): number | undefined {
  return numbers.length === 0 ? undefined : numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
}
