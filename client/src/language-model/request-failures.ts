import type { GenerateRequestMessage } from '@hearth/protocol';
import { HearthFailure } from '../sidecar/hearth-connection.js';

/** Of a prompt that was refused, the part of the context that its texts alone fill, above which the length was why. */
const mostFilled = 0.75;

/** What is known of a request that failed. */
export interface FailedRequest {
  readonly contextSize: number;
  /** Tokens of the instructions, messages and tools; undefined where they could not be counted. */
  readonly tokens: number | undefined;
  readonly tools: number;
}

/** Whether a request was refused for what it holds. */
export function isRefused({ code }: Pick<HearthFailure, 'code'>): boolean {
  return code === 'invalid_request';
}

/** A failure as VS Code tells them apart, in words for the person who asked. */
export interface ToldFailure {
  readonly kind: 'not_found' | 'no_permissions' | 'other';
  readonly message: string;
}

/** The failure in words that whoever asked can do something with. */
export function toldFailure({ message, code }: HearthFailure, request: FailedRequest): ToldFailure {
  if (code === 'model_not_found')
    return { kind: 'not_found', message: `${message} Choose another model in the model picker.` };
  if (code === 'unauthenticated' || code === 'forbidden') return { kind: 'no_permissions', message };
  if (code === 'tool_call_malformed')
    return { kind: 'other', message: `${message} Try again, or choose a bigger model.` };
  return { kind: 'other', message: isTooLong(code, request) ? tooLong(message, request) : message };
}

/**
 * What is wrong with an answer that came to its end; undefined: nothing.
 *
 * @param asked what was asked for
 */
export function answerFailure(
  { content, stopReason, toolCalls = [], toolChoiceUnsatisfied, usage }: GenerateRequestMessage.Result,
  asked: { readonly tools: boolean },
): HearthFailure | undefined {
  if (toolChoiceUnsatisfied === true) {
    return new HearthFailure(
      'The model answered with text where it had to call a tool, so nothing was changed. Try again, say more exactly what to do, or choose a bigger model.',
    );
  }
  if (stopReason === 'error') return new HearthFailure('The answer broke off. Try again.');
  // Half a call is no call: without a word of it, an agent would end as if all were done.
  const lost = toolCalls.length === 0 && (asked.tools || content === '');
  if (stopReason === 'length' && lost) {
    return new HearthFailure(
      `The answer was cut off after ${usage.completion_tokens} tokens, which is all that this model's context leaves for one. Ask for less at once, or choose a model with a larger context.`,
    );
  }
  return undefined;
}

function isTooLong(code: string | undefined, { contextSize, tokens = 0 }: FailedRequest): boolean {
  return isRefused({ code }) && tokens > contextSize * mostFilled;
}

function tooLong(message: string, { contextSize, tools }: FailedRequest): string {
  const cause =
    tools > 0
      ? ` ${tools} tools are part of the prompt: switch those off that you do not need, or ask with @hearth, which sends none.`
      : '';
  return `${message}${cause} A new chat, less attached, or a model with a context larger than ${contextSize} tokens helps too.`;
}
