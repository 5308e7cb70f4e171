import type { Document } from './document.js';

/** A question and its answer, derived from a documented function; labelled as such in CORPUS.md. */
export interface Instruction {
  readonly question: string;
  /** A Markdown code block. */
  readonly answer: string;
}

const javascriptFunction =
  /\/\*\*((?:(?!\*\/)[^]){10,600}?)\*\/\n((?:export )?(?:default )?(?:async )?function (\w+)\([^\n]*\{\n(?:[^\n]*\n){1,26}?\}\n)/g;
const pythonFunction =
  /^( *)def (\w+)\(([^)]*)\)(?: *->[^\n:]*)?:\n\s+(?:r|u)?(?:"""|''')((?:(?!"""|''')[^]){15,500}?)(?:"""|''')\n((?:(?:\1[ \t]+[^\n]*)?\n){1,22})/gm;

/** Tasks of the form "write this function", from the comments of functions that are short and say what they do. */
export function instructionsFrom(document: Document): readonly Instruction[] {
  if (document.language === 'py') return pythonInstructions(document.text);
  if (document.language !== 'ts' && document.language !== 'js') return [];
  const [name, tag] = document.language === 'ts' ? ['TypeScript', 'ts'] : ['JavaScript', 'js'];
  const found: Instruction[] = [];
  for (const [, comment = '', code = '', symbol = ''] of document.text.matchAll(javascriptFunction)) {
    const sentence = firstSentence(
      comment
        .replaceAll(/\n?\s*\*\s?/g, ' ')
        .trim()
        .split(' @')[0] ?? '',
    );
    if (sentence === undefined) continue;
    found.push({
      question: `Write a ${name} function \`${symbol}\`: ${sentence}.`,
      answer: fenced(tag, code),
    });
  }
  return found;
}

function pythonInstructions(text: string): readonly Instruction[] {
  const found: Instruction[] = [];
  for (const [all, indent = '', symbol = '', , comment = '', body = ''] of text.matchAll(pythonFunction)) {
    const sentence = firstSentence(comment);
    if (sentence === undefined || symbol.startsWith('__') || body.trim() === '') continue;
    const head = all.slice(0, all.indexOf('\n') + 1);
    const code = (head + body)
      .split('\n')
      .map((line) => line.slice(line.startsWith(indent) ? indent.length : 0));
    found.push({
      question: `Write a Python function \`${symbol}\`: ${sentence}.`,
      answer: fenced('python', code.join('\n')),
    });
  }
  return found;
}

/** The first sentence in lower case without its full stop, if it is one that describes. */
function firstSentence(comment: string): string | undefined {
  const sentence = (comment.trim().split(/(?<=\.)\s|\n\n/)[0] ?? '')
    .replaceAll(/\s+/g, ' ')
    .replace(/\.$/, '')
    .trim();
  if (sentence.length < 16 || sentence.length > 140 || !/^[A-Z]/.test(sentence)) return undefined;
  return sentence.slice(0, 1).toLowerCase() + sentence.slice(1);
}

function fenced(tag: string, code: string): string {
  return `\`\`\`${tag}\n${code.trimEnd()}\n\`\`\``;
}
