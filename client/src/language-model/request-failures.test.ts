import type { GenerateRequestMessage } from '@hearth/protocol';
import { describe, expect, it } from 'vitest';
import { HearthFailure } from '../sidecar/hearth-connection.js';
import { answerFailure, toldFailure } from './request-failures.js';

const short = { contextSize: 1000, tokens: 10, tools: 0 };

describe('what is told of a request that failed', () => {
  it('says what helps where the prompt is larger than the context, and what the tools have to do with it', () => {
    const refused = new HearthFailure('The prompt has 1200 tokens.', 'invalid_request');
    const { message } = toldFailure(refused, { contextSize: 1000, tokens: 1200, tools: 40 });
    expect(message).toMatch(/40 tools are part of the prompt: switch those off/);
    expect(message).toMatch(/model with a context larger than 1000 tokens/);
    expect(toldFailure(refused, { contextSize: 1000, tokens: 1200, tools: 0 }).message).toMatch(
      /^The prompt has 1200 tokens. A new chat/,
    );
  });

  it('says no such thing where the request was refused for something else, or nobody could count', () => {
    const refused = new HearthFailure('temperature: too big', 'invalid_request');
    expect(toldFailure(refused, short).message).toBe('temperature: too big');
    expect(toldFailure(refused, { ...short, tokens: undefined }).message).toBe('temperature: too big');
  });

  it('is of the kind that VS Code knows, where it knows one', () => {
    const kindOf = (code: string) => toldFailure(new HearthFailure('No.', code), short).kind;
    expect(['model_not_found', 'forbidden', 'queue_full'].map(kindOf)).toEqual([
      'not_found',
      'no_permissions',
      'other',
    ]);
  });
});

describe('an answer that came to its end', () => {
  const answer: GenerateRequestMessage.Result = {
    content: 'text',
    usage: { prompt_tokens: 1, completion_tokens: 9 },
    stopReason: 'end',
    backend: 'mock',
    queueMs: 0,
    totalMs: 1,
  };
  const call = { id: 'c', name: 'edit', arguments: '{}' };

  it('is wrong where a call had to be made and none was', () => {
    const failure = answerFailure({ ...answer, toolChoiceUnsatisfied: true }, { tools: true });
    expect(failure?.message).toMatch(/had to call a tool, so nothing was changed. Try again/);
  });

  it('is wrong where it was cut off and may have lost a call, or all', () => {
    const cut = { ...answer, stopReason: 'length' } as const;
    expect(answerFailure(cut, { tools: true })?.message).toMatch(/cut off after 9 tokens/);
    expect(answerFailure({ ...cut, content: '' }, { tools: false })).toBeDefined();
    expect(answerFailure(cut, { tools: false })).toBeUndefined();
    expect(answerFailure({ ...cut, toolCalls: [call] }, { tools: true })).toBeUndefined();
  });

  it('is right else, with text or calls', () => {
    expect(answerFailure(answer, { tools: true })).toBeUndefined();
    expect(answerFailure({ ...answer, content: '', toolCalls: [call] }, { tools: true })).toBeUndefined();
  });
});
