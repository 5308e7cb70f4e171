import { TemplateError, compileTemplate } from './jinja.js';
import type { JinjaOptions, Rendering } from './jinja.js';

/** One turn, in the words that chat templates know. */
export interface TemplateMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  readonly content: string;
  /** What an assistant thought before it answered. */
  readonly reasoning_content?: string;
  /** Calls that an assistant made. */
  readonly tool_calls?: readonly TemplateCall[];
  /** Which call a tool's result belongs to, and the name of the tool. */
  readonly tool_call_id?: string;
  readonly name?: string;
}

export interface TemplateCall {
  readonly id: string;
  readonly type: 'function';
  readonly function: { readonly name: string; readonly arguments: object | string };
}

export interface TemplateTool {
  readonly type: 'function';
  readonly function: {
    readonly name: string;
    readonly description: string;
    readonly parameters: Readonly<Record<string, unknown>>;
  };
}

/** What a template is to show. */
export interface Conversation {
  readonly messages: readonly TemplateMessage[];
  /** Only where the template {@link ChatTemplate.takes} them. */
  readonly tools?: readonly TemplateTool[];
  /** Undefined: as the template has it. */
  readonly thinking?: boolean | undefined;
}

/** Texts that templates put where they want them. */
export interface TemplateTexts {
  readonly begin: string;
  readonly end: string;
}

/** What a template has a place for. */
export interface Takes {
  readonly tools: boolean;
  /** Calls in a conversation, with their arguments as an object or as JSON. */
  readonly calls: 'object' | 'json' | undefined;
  /** Results of tools, as turns of their own. */
  readonly results: boolean;
}

/** What model files without a template are given: turns between `<|im_start|>` and `<|im_end|>`. */
export const chatMl = `{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}`;

/** Longest rendered conversation, in UTF-16 units. */
const longestText = 128 * 1024 * 1024;

/** Texts that no template has by itself, to see what becomes of them. */
const probe = {
  system: 'QsystemQ',
  user: 'QuserQ',
  assistant: 'QassistantQ',
  next: 'QnextQ',
  tool: 'QtoolQ',
  argument: 'QargumentQ',
  result: 'QresultQ',
};
const probeUser: TemplateMessage = { role: 'user', content: probe.user };

/**
 * The chat template of a model. What a template can do is found out by trying it: there is no other way to tell, and
 * most refuse something.
 */
export class ChatTemplate {
  readonly #rendering: Rendering;
  readonly #texts: TemplateTexts;
  #takesSystem: boolean | undefined;
  #takesParts: boolean | undefined;
  #takes: Takes | undefined;

  /** @throws TemplateError `unreadable`. */
  constructor(source: string, texts: TemplateTexts, options: JinjaOptions = {}) {
    this.#rendering = compileTemplate(source, options);
    this.#texts = texts;
  }

  /**
   * The text that the model is to continue. Where the template has no place for a system message, that goes before the
   * first user message; where it wants roles to take turns, messages of one role in a row become one.
   *
   * @throws TemplateError `refused` or `failed`.
   */
  render(conversation: Conversation): string {
    const messages = this.#takesSystemMessages()
      ? conversation.messages
      : withoutSystem(conversation.messages);
    try {
      return this.#render({ ...conversation, messages }, true);
    } catch (error) {
      const joined = joinTurns(messages);
      if (!(error instanceof TemplateError) || joined.length === messages.length) throw error;
      return this.#render({ ...conversation, messages: joined }, true);
    }
  }

  /** What comes between an answer and the message after it; undefined where that cannot be told. */
  afterAnswer(): string | undefined {
    const text = this.#attempt(
      {
        messages: [
          probeUser,
          { role: 'assistant', content: probe.assistant },
          { role: 'user', content: probe.next },
        ],
      },
      false,
    );
    const start = text?.lastIndexOf(probe.assistant) ?? -1;
    const end = text?.lastIndexOf(probe.next) ?? -1;
    if (text === undefined || start === -1 || end < start) return undefined;
    return text.slice(start + probe.assistant.length, end);
  }

  get takes(): Takes {
    return (this.#takes ??= {
      tools: this.#shows({ messages: [probeUser], tools: [probeTool] }, probe.tool),
      calls: this.#showsCalls(),
      results: this.#shows(
        {
          messages: [
            probeUser,
            { role: 'assistant', content: '', tool_calls: [probeCall({})] },
            { role: 'tool', content: probe.result, tool_call_id: probeCallId, name: probe.tool },
          ],
          tools: [probeTool],
        },
        probe.result,
      ),
    });
  }

  #showsCalls(): Takes['calls'] {
    const values = { [probe.argument]: 1 };
    const shows = (given: object | string): boolean => {
      const text = this.#attempt(
        {
          messages: [
            probeUser,
            { role: 'assistant', content: '', tool_calls: [probeCall(given)] },
            { role: 'tool', content: probe.result, tool_call_id: probeCallId, name: probe.tool },
          ],
          tools: [probeTool],
        },
        true,
      );
      // As JSON within JSON it would be no call.
      return text !== undefined && /"QargumentQ"|QargumentQ(?!\\)/u.test(text) && !text.includes('\\"');
    };
    if (shows(values)) return 'object';
    return shows(JSON.stringify(values)) ? 'json' : undefined;
  }

  #takesSystemMessages(): boolean {
    return (this.#takesSystem ??= this.#shows(
      { messages: [{ role: 'system', content: probe.system }, probeUser] },
      probe.system,
    ));
  }

  /** Some templates take contents as a list of parts only. */
  #takesContentParts(): boolean {
    if (this.#takesParts !== undefined) return this.#takesParts;
    this.#takesParts = false;
    if (this.#shows({ messages: [probeUser] }, probe.user)) return false;
    this.#takesParts = true;
    this.#takesParts = this.#shows({ messages: [probeUser] }, probe.user);
    return this.#takesParts;
  }

  #shows(conversation: Conversation, text: string): boolean {
    return this.#attempt(conversation, true)?.includes(text) ?? false;
  }

  #attempt(conversation: Conversation, open: boolean): string | undefined {
    try {
      return this.#render(conversation, open);
    } catch (error) {
      if (error instanceof TemplateError) return undefined;
      throw error;
    }
  }

  #render({ messages, tools, thinking }: Conversation, open: boolean): string {
    const inParts = this.#takesContentParts();
    const text = this.#rendering({
      messages: inParts
        ? messages.map((message) => ({ ...message, content: [{ type: 'text', text: message.content }] }))
        : messages,
      add_generation_prompt: open,
      bos_token: this.#texts.begin,
      eos_token: this.#texts.end,
      ...(tools === undefined || tools.length === 0 ? {} : { tools }),
      // The two names that templates have for it.
      ...(thinking === undefined ? {} : { enable_thinking: thinking, thinking }),
    });
    if (text.length > longestText) throw new TemplateError('failed', 'The template gives too much text.');
    return text;
  }
}

/** Nine characters are what the strictest template wants of an id. */
const probeCallId = 'probe0000';
const probeTool: TemplateTool = {
  type: 'function',
  function: { name: probe.tool, description: '', parameters: { type: 'object', properties: {} } },
};

function probeCall(given: object | string): TemplateCall {
  return { id: probeCallId, type: 'function', function: { name: probe.tool, arguments: given } };
}

function withoutSystem(messages: readonly TemplateMessage[]): readonly TemplateMessage[] {
  const rest: TemplateMessage[] = [];
  let system: string[] = [];
  for (const message of messages) {
    if (message.role === 'system') {
      system.push(message.content);
    } else if (message.role === 'user') {
      rest.push({ ...message, content: [...system, message.content].join('\n\n') });
      system = [];
    } else {
      rest.push(message);
    }
  }
  return system.length === 0 ? rest : [...rest, { role: 'user', content: system.join('\n\n') }];
}

function joinTurns(messages: readonly TemplateMessage[]): readonly TemplateMessage[] {
  const joined: TemplateMessage[] = [];
  for (const message of messages) {
    const before = joined.at(-1);
    const isPlain =
      message.role !== 'tool' && message.tool_calls === undefined && before?.tool_calls === undefined;
    if (before?.role !== message.role || !isPlain) joined.push(message);
    else joined[joined.length - 1] = { ...before, content: `${before.content}\n\n${message.content}` };
  }
  return joined;
}
