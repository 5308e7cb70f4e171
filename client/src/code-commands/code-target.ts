import {
  commands,
  type DocumentSymbol,
  Range,
  SymbolKind,
  type SymbolInformation,
  type TextDocument,
  type TextEditor,
} from 'vscode';
import { innermostSymbol, type CodeSymbol } from './code-symbols.js';

/** The code that a command is about: whole lines of a document. */
export interface CodeTarget {
  readonly document: TextDocument;
  /** From the start of its first line to the end of its last. */
  readonly range: Range;
  /** Of the symbol that it is; absent where it was selected. */
  readonly name?: string;
}

/** What people speak of as one piece of code. */
const wholes: ReadonlySet<SymbolKind> = new Set([
  SymbolKind.Class,
  SymbolKind.Constructor,
  SymbolKind.Enum,
  SymbolKind.Function,
  SymbolKind.Interface,
  SymbolKind.Method,
  SymbolKind.Struct,
]);

/** The selection, or where nothing is selected the function or class that the cursor is in; undefined: neither. */
export async function codeTarget(editor: TextEditor, given?: Range): Promise<CodeTarget | undefined> {
  const { document } = editor;
  const range = given ?? editor.selection;
  if (!range.isEmpty) return { document, range: wholeLines(document, range) };
  const symbol = await symbolAt(document, range.start.line);
  if (symbol === undefined) return undefined;
  const { firstLine, lastLine, name } = symbol;
  return { document, range: wholeLines(document, new Range(firstLine, 0, lastLine, 1)), name };
}

/** The function or class around a line; undefined: none, or no extension here knows the language. */
export async function symbolAt(document: TextDocument, line: number): Promise<CodeSymbol | undefined> {
  const found = await commands.executeCommand<readonly (DocumentSymbol | SymbolInformation)[] | undefined>(
    'vscode.executeDocumentSymbolProvider',
    document.uri,
  );
  return innermostSymbol((found ?? []).map(toCodeSymbol), line);
}

/**
 * The lines of a range. A selection that ends at the start of a line does not mean that line, and an outline may be of a
 * document that has become shorter since.
 */
export function wholeLines(document: TextDocument, { start, end }: Range): Range {
  const last = end.character === 0 && end.line > start.line ? end.line - 1 : end.line;
  const there = Math.min(last, document.lineCount - 1);
  return new Range(Math.min(start.line, there), 0, there, document.lineAt(there).range.end.character);
}

/** The text of the document before and after a range. */
export function around({ document, range }: CodeTarget): { readonly before: string; readonly after: string } {
  const end = document.lineAt(document.lineCount - 1).range.end;
  return {
    before: document.getText(new Range(0, 0, range.start.line, 0)),
    after: document.getText(new Range(range.end, end)),
  };
}

function toCodeSymbol(symbol: DocumentSymbol | SymbolInformation): CodeSymbol {
  const nested = 'children' in symbol;
  const range = nested ? symbol.range : symbol.location.range;
  return {
    name: symbol.name,
    whole: wholes.has(symbol.kind),
    firstLine: range.start.line,
    lastLine: range.end.line,
    children: nested ? symbol.children.map(toCodeSymbol) : [],
  };
}
