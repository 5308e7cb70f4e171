import { depth } from '../place.js';

/** Most units of one definition's line. */
const longestLine = 200;

/**
 * The lines of a file that say what it defines: functions, types, classes with their methods, constants of the
 * module. Told by their form, which the languages that people write share; what is no code gives nothing.
 */
export function definitionsOf(text: string, most: number): string {
  const found: string[] = [];
  let length = 0;
  for (const line of text.split('\n')) {
    const short = line.trimEnd();
    if (short === '' || short.length > longestLine || !defines(short)) continue;
    length += short.length + 1;
    if (length > most) break;
    found.push(short);
  }
  return found.join('\n');
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
