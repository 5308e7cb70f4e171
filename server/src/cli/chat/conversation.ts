import type { GenerateRequestInput } from '@hearth/protocol';

export interface Turn {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** What has been said. Bounded by what the model can read: beyond that the daemon refuses, and `/clear` helps. */
export interface Conversation {
  /** What the model is told before everything else; empty: nothing. */
  readonly system: string;
  readonly turns: readonly Turn[];
}

export function said(conversation: Conversation, role: 'user' | 'assistant', content: string): Conversation {
  return { ...conversation, turns: [...conversation.turns, { role, content }] };
}

/** All turns, the system's first. */
export function messagesOf({ system, turns }: Conversation): NonNullable<GenerateRequestInput['messages']> {
  return [...(system === '' ? [] : [{ role: 'system', content: system } as const]), ...turns];
}
