import { limits, type Attachment, type Message } from '@hearth/protocol';
import { HearthFailure } from '../sidecar/hearth-connection.js';

/** A part of a chat message, free of VS Code's classes. */
export type PlainPart =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'image'; readonly data: Uint8Array }
  | {
      readonly kind: 'call';
      readonly id: string;
      readonly name: string;
      readonly input: Readonly<Record<string, unknown>>;
    }
  | { readonly kind: 'result'; readonly id: string; readonly text: string };

/** A chat message, free of VS Code's classes. */
export interface PlainMessage {
  readonly role: Message['role'];
  readonly parts: readonly PlainPart[];
}

/** A conversation as the sidecar takes it. */
export interface WireConversation {
  readonly messages: Message[];
  readonly attachments?: Attachment[];
}

/**
 * The conversation for the sidecar. VS Code sends several messages of one role in a row, and instructions between
 * the turns, both of which many chat templates refuse: neighbours of one role become one message, and instructions
 * behind the first turn are the user's. Messages without content are left out.
 *
 * @param vision Whether the model can look at images.
 * @throws HearthFailure where there are images and it cannot, or more images than a request may have.
 */
export function wireConversation(
  messages: readonly PlainMessage[],
  { vision }: { readonly vision: boolean },
): WireConversation {
  const attachments: Attachment[] = [];
  const blocks = inTurns(messages).map(({ role, parts }) => ({
    role,
    content: parts.map((part) => toBlock(part, attachments)),
  }));
  if (attachments.length > 0 && !vision) {
    throw new HearthFailure(
      'This model cannot look at images. Remove the image from the conversation, or choose a model that can see.',
    );
  }
  if (attachments.length > limits.attachments) {
    throw new HearthFailure(
      `The conversation has ${attachments.length} images; ${limits.attachments} is the most. Start a new chat, or remove some.`,
    );
  }
  const plain = blocks.map(({ role, content }) => ({ role, content: simplest(content) }));
  return { messages: plain, ...(attachments.length === 0 ? {} : { attachments }) };
}

/** What tokens are counted of: all text that the message brings. */
export function countedText({ parts }: PlainMessage): string {
  return parts
    .map((part) => {
      switch (part.kind) {
        case 'text':
        case 'result':
          return part.text;
        case 'call':
          return `${part.name}${JSON.stringify(part.input)}`;
        case 'image':
          return '';
      }
    })
    .join('');
}

function inTurns(messages: readonly PlainMessage[]): readonly PlainMessage[] {
  const turns: PlainMessage[] = [];
  for (const message of messages) {
    const parts = message.parts.filter((part) => part.kind !== 'text' || part.text !== '');
    if (parts.length === 0) continue;
    const last = turns.at(-1);
    const isLate = message.role === 'system' && turns.some((turn) => turn.role !== 'system');
    const role = isLate ? 'user' : message.role;
    if (last?.role !== role) turns.push({ role, parts });
    else turns[turns.length - 1] = { role, parts: [...last.parts, ...apart(last.parts, parts)] };
  }
  return turns;
}

/** `parts` with an empty line before, where text would follow on text. */
function apart(before: readonly PlainPart[], parts: readonly PlainPart[]): readonly PlainPart[] {
  const follows = before.at(-1)?.kind === 'text' && parts[0]?.kind === 'text';
  return follows ? [{ kind: 'text', text: '\n\n' }, ...parts] : parts;
}

type Block = Exclude<Message['content'], string>[number];

function toBlock(part: PlainPart, attachments: Attachment[]): Block {
  switch (part.kind) {
    case 'text':
      return { type: 'text', text: part.text };
    case 'call':
      return { type: 'tool_use', tool_call_id: part.id, name: part.name, input: part.input };
    case 'result':
      return { type: 'tool_result', tool_call_id: part.id, content: part.text };
    case 'image': {
      const id = `image-${attachments.length + 1}`;
      const data = Buffer.from(part.data).toString('base64');
      attachments.push({ id, kind: 'image', len: part.data.byteLength, data });
      return { type: 'image', attachment_id: id };
    }
  }
}

/** Text alone is sent as text, which daemons of every version take. */
function simplest(blocks: readonly Block[]): Message['content'] {
  const texts = blocks.flatMap((block) => (block.type === 'text' ? [block.text] : []));
  return texts.length === blocks.length ? texts.join('') : [...blocks];
}
