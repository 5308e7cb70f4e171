/** Which code is meant where nothing is selected: the function, class or the like that the cursor is in. */

/** A symbol as VS Code's outline has it: lines count from 0, and the last one belongs to it. */
export interface CodeSymbol {
  readonly name: string;
  /** Whether it is something that people speak of as one piece: a function, a class, and not a variable. */
  readonly whole: boolean;
  readonly firstLine: number;
  readonly lastLine: number;
  readonly children: readonly CodeSymbol[];
}

/** The innermost whole symbol with `line` in it; undefined: there is none. */
export function innermostSymbol(symbols: readonly CodeSymbol[], line: number): CodeSymbol | undefined {
  for (const symbol of symbols) {
    if (line < symbol.firstLine || line > symbol.lastLine) continue;
    const inner = innermostSymbol(symbol.children, line);
    if (inner !== undefined) return inner;
    if (symbol.whole) return symbol;
  }
  return undefined;
}
