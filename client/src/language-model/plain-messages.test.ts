import { generateRequestSchema } from '@hearth/protocol';
import { describe, expect, it } from 'vitest';
import { countedText, wireConversation, type PlainMessage, type PlainPart } from './plain-messages.js';

const text = (value: string): PlainPart => ({ kind: 'text', text: value });
const message = (role: PlainMessage['role'], ...parts: PlainPart[]): PlainMessage => ({ role, parts });
const picture: PlainPart = { kind: 'image', data: new Uint8Array([1, 2, 3, 4]) };
const blind = { vision: false };

describe('a conversation of VS Code for the sidecar', () => {
  it('has one message a turn, and instructions at its beginning alone', () => {
    const { messages } = wireConversation(
      [
        message('system', text('Be brief.')),
        message('user', text('Context.')),
        message('user', text('Question?')),
        message('assistant', text('An'), text('swer.')),
        message('system', text('Be polite.')),
        message('user', text('')),
      ],
      blind,
    );
    expect(messages).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Context.\n\nQuestion?' },
      { role: 'assistant', content: 'Answer.' },
      { role: 'user', content: 'Be polite.' },
    ]);
  });

  it('keeps calls and their results apart from text', () => {
    const { messages } = wireConversation(
      [
        message('user', text('Edit it.')),
        message('assistant', text('I will.'), { kind: 'call', id: 'c1', name: 'edit', input: { line: 3 } }),
        message('user', { kind: 'result', id: 'c1', text: 'done' }),
      ],
      blind,
    );
    expect(messages).toEqual([
      { role: 'user', content: 'Edit it.' },
      {
        role: 'assistant',
        content: [
          { type: 'text', text: 'I will.' },
          { type: 'tool_use', tool_call_id: 'c1', name: 'edit', input: { line: 3 } },
        ],
      },
      { role: 'user', content: [{ type: 'tool_result', tool_call_id: 'c1', content: 'done' }] },
    ]);
  });

  it('sends images as attachments that a daemon takes', () => {
    const conversation = wireConversation([message('user', text('What is this?'), picture)], {
      vision: true,
    });
    const checked = generateRequestSchema.parse({ id: '1', ...conversation });
    expect(checked.attachments).toEqual([{ id: 'image-1', kind: 'image', len: 4, data: 'AQIDBA==' }]);
  });

  it('is refused with words where it has images and the model cannot see, or too many', () => {
    const seen = [message('user', text('What is this?'), picture)];
    expect(() => wireConversation(seen, blind)).toThrow(/cannot look at images. Remove the image/);
    const many = [message('user', ...Array.from({ length: 33 }, () => picture))];
    expect(() => wireConversation(many, { vision: true })).toThrow(/33 images; 32 is the most/);
  });
});

describe('what is counted of a message', () => {
  it('is all text that it brings to the prompt', () => {
    const call: PlainPart = { kind: 'call', id: 'c1', name: 'edit', input: { line: 3 } };
    expect(countedText(message('assistant', text('a'), call, picture))).toBe('aedit{"line":3}');
  });
});
