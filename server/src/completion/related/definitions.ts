import { depth } from '../place.js';

/** Most units of one definition's line. */
const longestLine = 200;

/** A line of a file that says what it defines. */
export interface Definition {
  readonly name: string;
  readonly line: string;
}

/**
 * The lines of a file that say what it defines: functions, types, classes with their methods, constants of the
 * module. Told by their form, which the languages that people write share; what is no code gives nothing.
 */
export function definitionsOf(text: string): readonly Definition[] {
  return text.split('\n').flatMap((whole) => {
    const line = whole.trimEnd();
    const isOne = line !== '' && line.length <= longestLine && defines(line);
    return isOne ? [{ name: nameIn(line), line }] : [];
  });
}

/**
 * As many of a file's definitions as have room, in the order of the file: those that are used first, then those that
 * come first.
 *
 * @param most room in UTF-16 units
 */
export function chooseDefinitions(
  all: readonly Definition[],
  most: number,
  used: ReadonlySet<string> = new Set(),
): string {
  const chosen = new Set<Definition>();
  let left = most;
  for (const some of [all.filter(({ name }) => used.has(name)), all]) {
    for (const one of some) {
      if (chosen.has(one)) continue;
      if (one.line.length + 1 > left) break;
      left -= one.line.length + 1;
      chosen.add(one);
    }
  }
  return all
    .filter((one) => chosen.has(one))
    .map(({ line }) => line)
    .join('\n');
}

/** The last word before what a definition takes, holds or is derived from. */
function nameIn(line: string): string {
  const [head = ''] = line
    .replace(/^\s*func\s+\([^)]*\)/, '')
    .split(/[(=:{<]|\b(?:extends|implements|for)\b/, 1);
  return /[#\w$]+(?=\W*$)/.exec(head)?.[0] ?? '';
}

const topLevel = [
  /^(export\s+)?(default\s+)?(declare\s+)?(abstract\s+)?(async\s+)?(function|class|interface|type|enum|namespace)\b/,
  /^export\s+(const|let)\s+\w+/,
  /^(const|let)\s+\w+\s*=\s*(async\s*)?\(/,
  /^(pub(\([\w:]+\))?\s+)?(unsafe\s+|async\s+|const\s+)*(fn|struct|enum|trait|impl|mod|type)\b/,
  /^(func|type)\s+[(\w]/,
  /^(async\s+)?(def|class)\s+\w+/,
  /^(public|private|protected|internal|static|final|abstract|sealed|open|data)\b.*[({]/,
  /^(struct|union|enum|typedef|template|namespace|extern|static|inline)\b/,
  /^(local\s+)?function\b/,
  /^(module|defmodule|defp?|defstruct|end_module)\s+\w+/,
  /^[A-Z_][A-Z0-9_]{2,}\s*=/,
];
const insideClass = [
  /^(async\s+)?def\s+\w+/,
  /^(public|private|protected|static|readonly|override|abstract|async|get|set)\s+[#\w]+.*[({]/,
  /^(pub(\([\w:]+\))?\s+)?(async\s+)?fn\s+\w+/,
  /^(constructor|#?\w+)\s*\([^()]*\)\s*(:\s*[^=]+)?\{$/,
];
const statement =
  /^(if|for|while|switch|catch|return|else|do|try|with|elif|except|match|when|until|unless)\b/;

function defines(line: string): boolean {
  const bare = line.trim();
  if (statement.test(bare)) return false;
  const deep = depth(line);
  if (deep === 0) return topLevel.some((pattern) => pattern.test(bare));
  return deep <= 4 && insideClass.some((pattern) => pattern.test(bare));
}
