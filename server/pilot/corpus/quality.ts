import type { Language } from './document.js';

/** Largest file that is read, in bytes: what is longer is data or a bundle. */
export const maxBytes = 200_000;

const skippedDirectories =
  /\/(?:tests?|__tests__|__mocks__|specs?|fixtures?|benchmarks?|bench|locales?|nls|l10n|i18n|vendor|third_party|coverage|\.git|umd|bundles?|esm5|es5|wasm|idle_test|__pycache__|encodings|pydoc_data|min|dist-min|config-3\.\d+[^/]*|ensurepip|lib-dynload)\//i;
const skippedFiles =
  /(?:\.min\.|\.bundle\.|\.umd\.|\.test\.|\.spec\.|_test\.py$|nls\.|webpack|rollup\.|\.global\.|changelog|history\.md|security\.md|code_of_conduct|third.?party|licen[cs]e|lextab|parsetab|_sysconfigdata|html\/entities\.py$|package-lock\.json$|\.map\.json$)/i;
const generated =
  /@generated|auto-?generated|automatically generated|generated (?:by (?:peg|jison|antlr|nearley|protoc|webpack)|from )|__webpack_require__|do not edit/i;

/** Whether the path says that the file is a test, a translation, a bundle or the like. */
export function isSkippedPath(path: string): boolean {
  return skippedDirectories.test(`/${path}`) || skippedFiles.test(`/${path}`);
}

/**
 * Bytes as text: UTF-8, line ends as `\n`, without trailing white space, source map references and licence headers (a
 * header learned is a header suggested).
 *
 * @returns undefined for what is no text
 */
export function cleanText(bytes: Uint8Array): string | undefined {
  if (bytes.includes(0)) return undefined;
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
  text = text
    .replaceAll(/\r\n?/g, '\n')
    .replaceAll(/\n?\/\/[#@] source(?:MappingURL|URL)=[^\n]*/g, '')
    .replaceAll(/[ \t]+$/gm, '')
    .replaceAll(/\n{4,}/g, '\n\n\n');
  return `${withoutLicenceHeader(text).replaceAll(/^\n+|\n+$/g, '')}\n`;
}

/** The text without the comments at its top that are about licences. */
export function withoutLicenceHeader(text: string): string {
  let rest = text;
  for (let round = 0; round < 3; round += 1) {
    const found =
      /^(#![^\n]*\n)?\s*(\/\*[^]*?\*\/[ \t]*\n?|(?:[ \t]*\/\/[^\n]*\n)+|(?:#(?!!)[^\n]*\n)+|<!--[^]*?-->\s*)/.exec(
        rest,
      );
    if (found === null || !/copyright|licen[cs]e|@preserve|\(c\)/i.test(found[2] ?? '')) break;
    rest = (found[1] ?? '') + rest.slice(found[0].length).replace(/^\n+/, '');
  }
  return rest;
}

/** Whether a cleaned text is source that a person wrote: not minified, generated, foreign or a table of numbers. */
export function isWorthLearning(text: string, language: Language): boolean {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  if (lines.length < 4 || text.length < 120) return false;
  // Texts that hold the tokenizer's own symbols would be read as them.
  if (text.includes('▁') || (text.includes('<|') && text.includes('|>'))) return false;
  const longest = Math.max(...lines.map((line) => line.length));
  if (longest > (language === 'md' ? 2_500 : 400)) return false;
  const isProse = language === 'md' || language === 'json';
  if (!isProse && text.length / lines.length > 120) return false;
  if (!isProse && generated.test(text.slice(0, 3_000))) return false;
  if (share(text, /[^\u0000-\u007f]/g) > 0.03 || share(text, /\d/g) > 0.15) return false;
  if (language === 'json') return text.length <= 12_000;
  // Names of one letter everywhere are the mark of a minifier that kept the line breaks.
  return language !== 'js' || share(text, /\b[a-z]\b/g) <= 1 / 45;
}

function share(text: string, pattern: RegExp): number {
  return (text.match(pattern)?.length ?? 0) / text.length;
}
