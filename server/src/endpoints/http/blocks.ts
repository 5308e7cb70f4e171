import type { GenerateRequestInput } from '@hearth/protocol';
import type { ContentBlock } from './attachments.js';

/** A turn in the protocol's words. */
export type Turn = NonNullable<GenerateRequestInput['messages']>[number];

/** A turn of blocks, in its simplest form: text alone is text. */
export function turn(role: Turn['role'], blocks: readonly ContentBlock[]): Turn {
  const texts = blocks.flatMap((block) => (block.type === 'text' ? [block.text] : []));
  if (texts.length === blocks.length) return { role, content: texts.join('') };
  return { role, content: [...blocks] };
}

/** Turns of one speaker that follow each other, as one turn. */
export function mergeTurns(
  turns: readonly { readonly role: Turn['role']; readonly blocks: readonly ContentBlock[] }[],
): readonly Turn[] {
  const merged: { role: Turn['role']; blocks: ContentBlock[] }[] = [];
  for (const { role, blocks } of turns) {
    const last = merged.at(-1);
    if (last?.role === role && role === 'assistant') last.blocks.push(...blocks);
    else merged.push({ role, blocks: [...blocks] });
  }
  return merged.map(({ role, blocks }) => turn(role, blocks));
}
