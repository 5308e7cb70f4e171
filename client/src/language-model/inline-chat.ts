import type { OfferedTool } from './wire-tools.js';

/** The tools with which VS Code's inline chat has a model change the file. No other request has these alone. */
const editTools: ReadonlySet<string> = new Set([
  'apply_patch',
  'edit_notebook_file',
  'insert_edit_into_file',
  'multi_replace_string_in_file',
  'replace_string_in_file',
]);

/**
 * Whether VS Code's inline chat asks. The stable API does not say so, and it matters: inline chat shows an error as the
 * beginning of one line, cut off before its reason, and an answer without a call as if all were well.
 */
export function isInlineChat(tools: readonly OfferedTool[]): boolean {
  return tools.length > 0 && tools.every(({ name }) => editTools.has(name));
}

/** Ends an answer in which the model only talked. */
export const proseNote =
  '\n\n*Nothing was changed: the model answered with text in place of an edit. Say more exactly what to change, choose a bigger model, or use “Hearth: Edit Inline…”, which needs no tool.*';
