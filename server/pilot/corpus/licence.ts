/** SPDX identifiers (and two old spellings of them) of licences that let a model learn from the source freely. */
const permissive = new Set([
  'MIT',
  'MIT-0',
  'ISC',
  '0BSD',
  'BSD',
  'BSD-2-CLAUSE',
  'BSD-3-CLAUSE',
  'BSD-2-CLAUSE-FREEBSD',
  'BSD-3-CLAUSE-CLEAR',
  'APACHE-2.0',
  'APACHE 2.0',
  'CC0-1.0',
  'PYTHON-2.0',
  'PSF-2.0',
]);

/**
 * The licence expression of a package.json, in any of the shapes that npm ever allowed.
 *
 * @param manifest the parsed package.json
 * @returns the expression, or '' where none is stated
 */
export function licenceOf(manifest: unknown): string {
  if (!isRecord(manifest)) return '';
  const stated = manifest['license'] ?? manifest['licenses'];
  const names = (Array.isArray(stated) ? stated : [stated]).map((one: unknown) =>
    isRecord(one) ? one['type'] : one,
  );
  return names
    .filter((name) => typeof name === 'string')
    .join(' OR ')
    .trim();
}

/**
 * Whether an SPDX expression permits the use: of `A OR B` one is enough, of `A AND B` both are needed. A licence with
 * an exception (`WITH`) or in a file only (`SEE LICENSE IN`) counts as not permissive.
 */
export function isPermissive(expression: string): boolean {
  const trimmed = expression.trim().toUpperCase();
  if (trimmed === '') return false;
  const either = splitOutside(trimmed, 'OR');
  if (either.length > 1) return either.some(isPermissive);
  const both = splitOutside(trimmed, 'AND');
  if (both.length > 1) return both.every(isPermissive);
  if (trimmed.startsWith('(') && trimmed.endsWith(')')) return isPermissive(trimmed.slice(1, -1));
  return permissive.has(trimmed);
}

/** Whether a directory of these file names holds the text of a licence: a word in a manifest alone is not enough. */
export function hasLicenceFile(names: readonly string[]): boolean {
  return names.some((name) => /^(?:licen[cs]e|copying|unlicense)(?:[-._].*)?$/i.test(name));
}

/** Splits at a keyword that is not inside parentheses. */
function splitOutside(expression: string, keyword: 'OR' | 'AND'): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at < expression.length; at += 1) {
    if (expression[at] === '(') depth += 1;
    else if (expression[at] === ')') depth -= 1;
    else if (depth === 0 && expression.startsWith(` ${keyword} `, at)) {
      parts.push(expression.slice(start, at));
      start = at + keyword.length + 2;
    }
  }
  return [...parts, expression.slice(start)];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
