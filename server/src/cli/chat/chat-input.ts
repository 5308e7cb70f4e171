/** What someone at the terminal means by what he typed. */
export type ChatInput =
  | { readonly kind: 'say'; readonly text: string }
  | { readonly kind: 'help' | 'clear' | 'leave' | 'nothing' }
  /** Undefined: say what it is. */
  | { readonly kind: 'system'; readonly text: string | undefined }
  | { readonly kind: 'save'; readonly file: string }
  | { readonly kind: 'unknown'; readonly command: string };

export const chatHelp = `/help            this
/clear           forget what was said
/system <text>   what the model is told before everything else; without text: say what that is
/save <file>     write the conversation to a new file, as JSON
/bye             end, as Ctrl-D does
A line that ends with \\ goes on in the next one. """ begins and ends a text of many lines.
Ctrl-C stops an answer.`;

/** Puts lines together: those that end with a backslash, and those between two lines of three quotes. */
export class LineJoiner {
  #lines: string[] = [];
  #isQuoted = false;

  /** Whether more lines are waited for. */
  get isOpen(): boolean {
    return this.#isQuoted || this.#lines.length > 0;
  }

  /** The whole text; undefined: it goes on. */
  push(line: string): string | undefined {
    if (line.trim() === '"""') {
      this.#isQuoted = !this.#isQuoted;
      return this.#isQuoted ? undefined : this.take();
    }
    if (this.#isQuoted) {
      this.#lines.push(line);
      return undefined;
    }
    const goesOn = line.endsWith('\\');
    this.#lines.push(goesOn ? line.slice(0, -1) : line);
    return goesOn ? undefined : this.take();
  }

  /** What there is, and begins anew. */
  take(): string {
    const text = this.#lines.join('\n');
    this.#lines = [];
    this.#isQuoted = false;
    return text;
  }
}

export function readChatInput(text: string): ChatInput {
  const trimmed = text.trim();
  if (trimmed === '') return { kind: 'nothing' };
  // A path or a comment of many lines is no command.
  const command = /^\/([a-z?]+)(?:\s+(.*))?$/u.exec(trimmed);
  if (command === null) return { kind: 'say', text };
  const [, name = '', rest] = command;
  switch (name) {
    case 'help':
    case '?':
      return { kind: 'help' };
    case 'clear':
      return { kind: 'clear' };
    case 'bye':
    case 'exit':
    case 'quit':
      return { kind: 'leave' };
    case 'system':
      return { kind: 'system', text: rest };
    case 'save':
      return rest === undefined ? { kind: 'help' } : { kind: 'save', file: rest };
    default:
      return { kind: 'unknown', command: name };
  }
}
