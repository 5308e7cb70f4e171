import ts from 'typescript';
import type { Language } from '../corpus/document.js';

/** Whether a language is one whose grammar is at hand. */
export function canParse(language: Language): boolean {
  return language === 'ts' || language === 'js';
}

/**
 * Whether a suggestion keeps the grammar: with it in the hole there are no more syntax errors than with what stood
 * there. (The text around is cut from a file, so that it has errors of its own.)
 */
export function keepsGrammar(before: string, suggestion: string, wanted: string, after: string): boolean {
  return errors(before + suggestion + after) <= errors(before + wanted + after);
}

function errors(text: string): number {
  const output = ts.transpileModule(text, { reportDiagnostics: true, fileName: 'hole.ts' });
  return (output.diagnostics ?? []).length;
}
