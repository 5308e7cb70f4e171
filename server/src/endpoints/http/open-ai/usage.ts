import type { Done } from '../generations.js';

/** Why a generation ended, in OpenAI's words. */
export function finishReason(done: Done): 'stop' | 'length' | 'tool_calls' {
  if (done.stopReason === 'length') return 'length';
  return done.toolCalls === undefined ? 'stop' : 'tool_calls';
}

/** Tokens of all choices together; the prompt counts once. */
export function usageOf(done: readonly Done[]) {
  const prompt = Math.max(0, ...done.map(({ usage }) => usage.prompt_tokens));
  const cached = Math.max(0, ...done.map(({ usage }) => usage.cached_tokens ?? 0));
  const completion = done.reduce((sum, { usage }) => sum + usage.completion_tokens, 0);
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: cached },
  };
}
