import { limits } from '@hearth/protocol';
import { fenced } from '../fenced.js';

/** What `@hearth` is asked to do with code, by its command; `ask` is a question of one's own. */
export type CodeTask = 'ask' | 'explain' | 'fix' | 'tests' | 'doc';

/** Code that a question is about. */
export interface CodeSubject {
  /** As VS Code names it, such as `typescript`. */
  readonly language: string;
  /** Such as `add.ts:3-9`. */
  readonly label: string;
  readonly code: string;
  /** What the editor complains of there, one a line. */
  readonly problems: readonly string[];
}

/** One turn of a conversation before this one. */
export interface EarlierTurn {
  readonly role: 'user' | 'assistant';
  readonly content: string;
}

export interface CodeQuestion {
  readonly task: CodeTask;
  /** What the person wrote behind the command; may be empty. */
  readonly prompt: string;
  readonly subjects: readonly CodeSubject[];
  /** Oldest first. */
  readonly earlier: readonly EarlierTurn[];
}

interface Turn {
  role: 'system' | EarlierTurn['role'];
  content: string;
}

const system =
  'You help a programmer in an editor. Answer in Markdown, briefly and to the point. Put code in fenced blocks with its language.';

const wishes: Readonly<Record<CodeTask, string>> = {
  ask: '',
  explain: 'Explain what this code does and why it is written so. Name what is surprising in it.',
  fix: 'Find what is wrong with this code, say it in one or two sentences, and give the corrected code whole.',
  tests: 'Write tests for this code, with its usual cases and its edges. Give the test file whole.',
  doc: 'Write the documentation comment for this code in the style of its language. Give the comment followed by the unchanged first line that it belongs to.',
};

/** Whether there has to be code for a task. */
export function needsCode(task: CodeTask): boolean {
  return task !== 'ask';
}

/** The messages that put a question to the model, without what was said before. */
export function questionMessages({ task, prompt, subjects }: Omit<CodeQuestion, 'earlier'>): Turn[] {
  const content = [
    ...subjects.flatMap(({ label, language, code, problems }) => [
      `${label}:`,
      fenced(code, language),
      ...(problems.length === 0 ? [] : [`The editor reports:\n${problems.join('\n')}`]),
    ]),
    ...(wishes[task] === '' ? [] : [wishes[task]]),
    ...(prompt.trim() === '' ? [] : [prompt]),
  ].join('\n\n');
  return [
    { role: 'system', content: system },
    { role: 'user', content },
  ];
}

/** A conversation that fits, or how far it is from that. */
export type Fitted =
  | { readonly kind: 'fits'; readonly messages: readonly Turn[] }
  /** `tokens`: how many it has; as words where it is so long that nobody need count. */
  | { readonly kind: 'too_long'; readonly tokens: string };

/**
 * The question with as much of the conversation before it as there is room for; the oldest turns go first.
 *
 * @param room Tokens that the prompt may have.
 * @param count Tokens of each of the texts.
 */
export async function fitQuestion(
  question: CodeQuestion,
  room: number,
  count: (texts: readonly string[]) => Promise<readonly number[]>,
): Promise<Fitted> {
  const asked = questionMessages(question);
  const length = sum(asked.map(({ content }) => content.length));
  if (length > room * longestToken) return { kind: 'too_long', tokens: `more than ${room}` };
  // Two places of a request stay for the question itself, and a count takes only so many texts.
  const earlier = question.earlier.slice(-(limits.countTexts - asked.length));
  const counts = await count([...asked, ...earlier].map(({ content }) => content));
  const costs = counts.map((tokens) => tokens + tokensAround);
  let left = room - sum(costs.slice(0, asked.length));
  if (left < 0) return { kind: 'too_long', tokens: String(room - left) };
  let from = earlier.length;
  while (from > 0) {
    left -= costs[asked.length + from - 1] ?? 0;
    if (left < 0) break;
    from -= 1;
  }
  // A conversation begins with who asks.
  while (from < earlier.length && earlier[from]?.role !== 'user') from += 1;
  const [instructions, ...rest] = asked;
  return {
    kind: 'fits',
    messages: [...(instructions === undefined ? [] : [instructions]), ...earlier.slice(from), ...rest],
  };
}

/** More characters than a token has on average in any text, whatever the vocabulary. */
const longestToken = 64;

/** What a chat template puts around one message, generously. */
const tokensAround = 12;

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
