import { TemplateError, compileTemplate } from './jinja.js';
import type { JinjaOptions, Rendering } from './jinja.js';

/** One turn, in the words that chat templates know. */
export interface TemplateMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** What a template is to show. */
export interface Conversation {
  readonly messages: readonly TemplateMessage[];
}

/** Texts that templates put where they want them. */
export interface TemplateTexts {
  readonly begin: string;
  readonly end: string;
}

/** What model files without a template are given: turns between `<|im_start|>` and `<|im_end|>`. */
export const chatMl = `{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}`;

/** Longest rendered conversation, in UTF-16 units. */
const longestText = 128 * 1024 * 1024;

/** Texts that no template has by itself, to see what becomes of them. */
const probe = { system: 'QsystemQ', user: 'QuserQ', assistant: 'QassistantQ', next: 'QnextQ' };

/**
 * The chat template of a model. What a template can do is found out by trying it: there is no other way to tell, and
 * most refuse something.
 */
export class ChatTemplate {
  readonly #rendering: Rendering;
  readonly #texts: TemplateTexts;
  #takesSystem: boolean | undefined;
  #takesParts: boolean | undefined;

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
      return this.#render(messages, true);
    } catch (error) {
      const joined = joinTurns(messages);
      if (!(error instanceof TemplateError) || joined.length === messages.length) throw error;
      return this.#render(joined, true);
    }
  }

  /** What comes between an answer and the message after it; undefined where that cannot be told. */
  afterAnswer(): string | undefined {
    const text = this.#attempt(
      [
        { role: 'user', content: probe.user },
        { role: 'assistant', content: probe.assistant },
        { role: 'user', content: probe.next },
      ],
      false,
    );
    const start = text?.lastIndexOf(probe.assistant) ?? -1;
    const end = text?.lastIndexOf(probe.next) ?? -1;
    if (text === undefined || start === -1 || end < start) return undefined;
    return text.slice(start + probe.assistant.length, end);
  }

  #takesSystemMessages(): boolean {
    return (this.#takesSystem ??=
      this.#attempt(
        [
          { role: 'system', content: probe.system },
          { role: 'user', content: probe.user },
        ],
        true,
      )?.includes(probe.system) ?? false);
  }

  /** Some templates take contents as a list of parts only. */
  #takesContentParts(): boolean {
    if (this.#takesParts !== undefined) return this.#takesParts;
    const messages: readonly TemplateMessage[] = [{ role: 'user', content: probe.user }];
    this.#takesParts = false;
    if (this.#attempt(messages, true)?.includes(probe.user) === true) return false;
    this.#takesParts = true;
    this.#takesParts = this.#attempt(messages, true)?.includes(probe.user) ?? false;
    return this.#takesParts;
  }

  #attempt(messages: readonly TemplateMessage[], open: boolean): string | undefined {
    try {
      return this.#render(messages, open);
    } catch (error) {
      if (error instanceof TemplateError) return undefined;
      throw error;
    }
  }

  #render(messages: readonly TemplateMessage[], open: boolean): string {
    const inParts = this.#takesContentParts();
    const text = this.#rendering({
      messages: inParts
        ? messages.map(({ role, content }) => ({ role, content: [{ type: 'text', text: content }] }))
        : messages,
      add_generation_prompt: open,
      bos_token: this.#texts.begin,
      eos_token: this.#texts.end,
    });
    if (text.length > longestText) throw new TemplateError('failed', 'The template gives too much text.');
    return text;
  }
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
    if (before?.role !== message.role) joined.push(message);
    else joined[joined.length - 1] = { ...before, content: `${before.content}\n\n${message.content}` };
  }
  return joined;
}
