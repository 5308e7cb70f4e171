/** One line of a view, as data. The tree that shows it is {@link RowTree}. */
export interface Row {
  /** Unique in its view and the same for as long as the row stands for the same thing. */
  readonly id: string;
  readonly label: string;
  readonly description?: string;
  /** Name of a theme icon, and of the colour that it has. */
  readonly icon?: string;
  readonly iconColor?: string;
  /** Markdown. */
  readonly tooltip?: string;
  /** What a screen reader says in place of label and description. */
  readonly spoken?: string;
  /** As `viewItem` in the manifest's menus. */
  readonly kind?: string;
  readonly children?: readonly Row[];
  /** Whether its children are hidden at first. */
  readonly folded?: boolean;
}

/** What to redraw: the whole tree, or the rows with these ids. */
export type Redraw = { readonly kind: 'all' } | { readonly kind: 'rows'; readonly rows: readonly Row[] };

/**
 * The least that must be redrawn to get from one list of rows to the next. Rows that only changed their words are
 * redrawn alone, so that a list whose figures move does not flicker.
 */
export function redraw(before: readonly Row[], after: readonly Row[]): Redraw {
  const changed: Row[] = [];
  if (before.length !== after.length) return { kind: 'all' };
  for (const [index, row] of after.entries()) {
    const old = before[index];
    if (old?.id !== row.id || (old.children?.length ?? 0) !== (row.children?.length ?? 0))
      return { kind: 'all' };
    if (JSON.stringify(old) !== JSON.stringify(row)) changed.push(row);
  }
  return { kind: 'rows', rows: changed };
}
