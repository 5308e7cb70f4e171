import type { ChatInput, OutputFormat } from '@hearth/protocol';
import { RequestError } from '../request-error.js';
import { callGrammar, callable, formatGrammar } from './answer/constrain.js';
import type { AnswerPlan, Constrained, ThinkingPlan, ToolPlan } from './answer/answer-plan.js';
import { dialectOf, hermes, toolInstructions } from './answer/dialect.js';
import type { Dialect } from './answer/dialect.js';
import { closeThinking, thinkingMarksOf } from './answer/thinking.js';
import type { ThinkingMarks } from './answer/thinking.js';
import { toTemplateMessages } from './chat-messages.js';
import { ChatTemplate, chatMl } from './chat-template.js';
import type { Takes, TemplateMessage, TemplateTool } from './chat-template.js';
import { chooseMark, mapTexts, textsIn } from './control-marks.js';
import type { ControlTexts } from './control-marks.js';
import { controlText } from './vocabulary.js';
import type { Vocabulary } from './vocabulary.js';

/** A conversation as one text, and how its answer is to be read. */
export interface ChatPrompt {
  /** With `mark` in what must not become control tokens. */
  readonly text: string;
  readonly mark: string;
  readonly grammar: string | undefined;
  readonly answer: AnswerPlan;
}

/** Renders conversations for one model. */
export class ChatPrompter {
  readonly #vocabulary: Vocabulary;
  readonly #controls: ControlTexts;
  readonly #source: string;
  readonly #thinking: ThinkingMarks | undefined;
  #template: ChatTemplate | undefined;

  constructor(vocabulary: Vocabulary, controls: ControlTexts) {
    this.#vocabulary = vocabulary;
    this.#controls = controls;
    this.#source = vocabulary.metadata('tokenizer.chat_template') ?? chatMl;
    this.#thinking = thinkingMarksOf(this.#source);
  }

  /** Whether the model can be made to think. */
  get thinks(): boolean {
    return this.#thinking !== undefined;
  }

  /** @throws TemplateError `unreadable`. */
  get template(): ChatTemplate {
    const { special } = this.#vocabulary;
    return (this.#template ??= new ChatTemplate(this.#source, {
      begin: controlText(this.#vocabulary, special.begin) ?? '',
      end: controlText(this.#vocabulary, special.end) ?? '',
    }));
  }

  /**
   * @throws TemplateError where the template does not take the conversation.
   * @throws RequestError where a schema cannot be enforced, or the model cannot do what is asked.
   */
  build(input: ChatInput, format: OutputFormat): ChatPrompt {
    if (input.thinking === true && this.#thinking === undefined) {
      throw new RequestError(
        'unsupported',
        'This model has no way to think before it answers. Leave thinking out.',
      );
    }
    const { rendered, mark, dialect } = this.#render(input);
    const { text, isOpen } = this.#leadThinking(rendered, input);
    const tools = callable(input);
    const isForced = input.toolChoice.kind === 'required' || input.toolChoice.kind === 'named';
    const calls = tools.length > 0 && dialect !== undefined ? dialect : undefined;
    const grammar = calls === undefined ? formatGrammar(format) : callGrammar(input, calls);
    const lead = isForced ? (calls?.opening ?? '') : '';
    const constrained = constrainedFrom(grammar, isOpen, calls !== undefined && !isForced, lead);
    const isLed = constrained?.from === 'start' && lead !== '';
    return {
      text: isLed ? text + lead : text,
      mark,
      grammar,
      answer: {
        thinking: this.#planThinking(input, isOpen),
        tools: calls === undefined ? undefined : planTools(calls, input, isLed),
        constrained,
        visible: this.#visible(calls),
      },
    };
  }

  #render(input: ChatInput): { rendered: string; mark: string; dialect: Dialect | undefined } {
    const { takes } = this.template;
    const known = takes.tools ? dialectOf(this.#source) : undefined;
    const tools = input.toolChoice.kind === 'none' ? [] : input.tools.map(toTemplateTool);
    const messages = toTemplateMessages(input.messages, takesFor(known, takes));
    const isTold = known === undefined && tools.length > 0;
    const conversation = {
      messages: isTold ? withInstructions(messages, toolInstructions(tools)) : messages,
      tools: known === undefined ? [] : tools,
    };
    const mark = chooseMark([...textsIn(conversation)]);
    if (mark === undefined) {
      throw new RequestError(
        'invalid_request',
        'The messages hold every character that stands for nothing. Leave some of them out.',
      );
    }
    const quote = (text: string): string => this.#controls.quote(text, mark);
    const rendered = this.template.render({
      messages: conversation.messages.map((message) => quoteMessage(message, quote)),
      tools: conversation.tools.map((tool) => quoteTool(tool, quote)),
      thinking: input.thinking,
    });
    return { rendered, mark, dialect: known ?? hermes };
  }

  /** The text up to where the answer begins, and whether that is within thinking. */
  #leadThinking(rendered: string, input: ChatInput): { readonly text: string; readonly isOpen: boolean } {
    const marks = this.#thinking;
    if (marks === undefined) return { text: rendered, isOpen: false };
    const isOpen = rendered.trimEnd().endsWith(marks.opening);
    const isUnwanted = input.thinking === false || input.thinkingBudget === 0;
    if (isOpen && isUnwanted) return { text: rendered + closeThinking(marks), isOpen: false };
    if (isOpen || input.thinking !== true || isUnwanted) return { text: rendered, isOpen };
    return { text: `${rendered}${marks.opening}\n`, isOpen: true };
  }

  #planThinking(input: ChatInput, isOpen: boolean): ThinkingPlan | undefined {
    if (this.#thinking === undefined) return undefined;
    return { ...this.#thinking, isOpen, budget: input.thinkingBudget };
  }

  #visible(dialect: Dialect | undefined): ReadonlyMap<number, string> {
    const marks = [...(dialect?.marks ?? []), this.#thinking?.opening, this.#thinking?.closing];
    return new Map(
      marks.flatMap((mark): [number, string][] => {
        const token = mark === undefined ? undefined : this.#vocabulary.controlTokens.get(mark);
        return mark === undefined || token === undefined ? [] : [[token, mark]];
      }),
    );
  }
}

function constrainedFrom(
  grammar: string | undefined,
  isThinking: boolean,
  mayCall: boolean,
  lead: string,
): Constrained | undefined {
  if (grammar === undefined) return undefined;
  if (mayCall) return { from: 'calls' };
  return isThinking ? { from: 'answer', lead } : { from: 'start' };
}

function planTools(dialect: Dialect, input: ChatInput, isOpen: boolean): ToolPlan {
  return { dialect, names: new Set(callable(input).map(({ name }) => name)), isOpen };
}

/** What a template shows of calls helps a model only where it was trained on it. */
function takesFor(dialect: Dialect | undefined, takes: Takes): Takes {
  return dialect === undefined ? { tools: false, calls: undefined, results: false } : takes;
}

function toTemplateTool({
  name,
  description,
  input_schema: parameters,
}: ChatInput['tools'][number]): TemplateTool {
  return { type: 'function', function: { name, description, parameters } };
}

function withInstructions(messages: readonly TemplateMessage[], text: string): readonly TemplateMessage[] {
  const [first, ...rest] = messages;
  if (first?.role === 'system') return [{ ...first, content: `${first.content}\n\n${text}` }, ...rest];
  return [{ role: 'system', content: text }, ...messages];
}

function quoteMessage(message: TemplateMessage, quote: (text: string) => string): TemplateMessage {
  const { role, content, tool_calls: calls, reasoning_content: reasoning, ...rest } = message;
  return {
    ...rest,
    role,
    content: quote(content),
    ...(reasoning === undefined ? {} : { reasoning_content: quote(reasoning) }),
    ...(calls === undefined
      ? {}
      : {
          tool_calls: calls.map((call) => ({
            ...call,
            function: { name: call.function.name, arguments: quoteAll(call.function.arguments, quote) },
          })),
        }),
  };
}

function quoteTool(
  { type, function: { name, description, parameters } }: TemplateTool,
  quote: (text: string) => string,
): TemplateTool {
  const quoted = quoteAll(parameters, quote);
  return {
    type,
    function: {
      name,
      description: quote(description),
      parameters: typeof quoted === 'string' ? {} : { ...quoted },
    },
  };
}

function quoteAll(value: object | string, quote: (text: string) => string): object | string {
  const quoted = mapTexts(value, quote);
  return typeof quoted === 'string' || (typeof quoted === 'object' && quoted !== null) ? quoted : {};
}
