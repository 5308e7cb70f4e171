import { generateRequestSchema } from '@hearth/protocol';
import { describe, expect, it } from 'vitest';
import { isInlineChat } from './inline-chat.js';
import { wireTools } from './wire-tools.js';

const tool = (name: string) => ({ name, description: 'Edits.', inputSchema: { type: 'object' } });
const able = { tools: true };

describe('the tools of a chat request', () => {
  it('are passed on, and called where that is required', () => {
    const fields = wireTools([tool('edit')], true, able);
    expect(fields).toMatchObject({ tool_choice: 'required' });
    const request = { messages: [{ role: 'user', content: 'x' }], ...fields };
    expect(generateRequestSchema.parse(request).tools).toEqual([
      { name: 'edit', description: 'Edits.', input_schema: { type: 'object' } },
    ]);
    expect(wireTools([tool('edit')], false, able).tool_choice).toBe('auto');
    expect(wireTools([], true, able)).toEqual({});
  });

  it('are left out where the model calls none, unless a call is required', () => {
    expect(wireTools([tool('edit')], false, { tools: false })).toEqual({});
    expect(() => wireTools([tool('edit')], true, { tools: false })).toThrow(/cannot call tools. Choose/);
  });

  it('are refused with words where there are too many', () => {
    const many = Array.from({ length: 129 }, (_, index) => tool(`tool${index}`));
    expect(() => wireTools(many, false, able)).toThrow(/129 tools .* 128 is the most. Switch some off/);
  });
});

describe('inline chat', () => {
  it('is known by tools that only edit', () => {
    expect(isInlineChat([tool('replace_string_in_file')])).toBe(true);
    expect(isInlineChat([tool('replace_string_in_file'), tool('read_file')])).toBe(false);
    expect(isInlineChat([])).toBe(false);
  });
});
