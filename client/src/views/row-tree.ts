import {
  EventEmitter,
  MarkdownString,
  ThemeColor,
  ThemeIcon,
  TreeItem,
  TreeItemCollapsibleState,
  type Disposable,
  type TreeDataProvider,
} from 'vscode';
import { redraw, type Row } from './row.js';

/** Shows rows as a tree, and redraws only what changed. */
export class RowTree implements TreeDataProvider<Row>, Disposable {
  readonly #changed = new EventEmitter<Row[] | undefined>();
  readonly onDidChangeTreeData = this.#changed.event;
  #rows: readonly Row[] = [];
  /** VS Code knows an element by identity: the object that it was given first stands for its id. */
  readonly #handles = new Map<string, Row>();

  get rows(): readonly Row[] {
    return this.#rows;
  }

  update(rows: readonly Row[]): void {
    const what = redraw(this.#rows, rows);
    this.#rows = rows;
    if (what.kind === 'all') {
      this.#handles.clear();
      this.#changed.fire(undefined);
      return;
    }
    const shown = what.rows.map(({ id }) => this.#handles.get(id)).filter((row) => row !== undefined);
    if (shown.length > 0) this.#changed.fire(shown);
  }

  getChildren(element?: Row): Row[] {
    const rows = element === undefined ? this.#rows : (this.#current(element).children ?? []);
    for (const row of rows) if (!this.#handles.has(row.id)) this.#handles.set(row.id, row);
    return rows.map((row) => this.#handles.get(row.id) ?? row);
  }

  getTreeItem(element: Row): TreeItem {
    const row = this.#current(element);
    const item = new TreeItem(row.label, collapsibleState(row));
    item.id = row.id;
    if (row.description !== undefined) item.description = row.description;
    if (row.icon !== undefined) {
      const color = row.iconColor === undefined ? undefined : new ThemeColor(row.iconColor);
      item.iconPath = new ThemeIcon(row.icon, color);
    }
    if (row.tooltip !== undefined) {
      const tooltip = new MarkdownString(row.tooltip, true);
      tooltip.isTrusted = { enabledCommands: ['hearth.useBestModel'] };
      item.tooltip = tooltip;
    }
    if (row.kind !== undefined) item.contextValue = row.kind;
    item.accessibilityInformation = {
      label: row.spoken ?? [row.label, row.description].filter(Boolean).join(', '),
    };
    return item;
  }

  dispose(): void {
    this.#changed.dispose();
  }

  /** The row as it is now that has the id of `handle`. */
  #current(handle: Row): Row {
    return find(this.#rows, handle.id) ?? handle;
  }
}

function collapsibleState({ children, folded }: Row): TreeItemCollapsibleState {
  if (children === undefined) return TreeItemCollapsibleState.None;
  return folded === true ? TreeItemCollapsibleState.Collapsed : TreeItemCollapsibleState.Expanded;
}

function find(rows: readonly Row[], id: string): Row | undefined {
  for (const row of rows) {
    if (row.id === id) return row;
    const inside = find(row.children ?? [], id);
    if (inside !== undefined) return inside;
  }
  return undefined;
}
