import { describe, expect, it } from 'vitest';
import { createDebounce } from './debounce.js';
import type { Place } from './place.js';

const at = (before: string, after = ''): Place => ({ uri: 'a', language: 'x', before, after, start: 0 });

function afterTyping(gapMs: number, latencyMs: number) {
  const debounce = createDebounce();
  for (let key = 0; key < 30; key += 1) debounce.typed(key * gapMs);
  debounce.answered(latencyMs);
  return debounce;
}

describe('the pause before a question', () => {
  it('is short before the rhythm is known', () => {
    expect(createDebounce().pauseAt(at('const a'))).toBe(75);
  });

  it('follows the rhythm of the hands, minus what an answer takes anyway', () => {
    expect(afterTyping(100, 0).pauseAt(at('const a'))).toBeCloseTo(150);
    expect(afterTyping(200, 0).pauseAt(at('const a'))).toBe(300);
    expect(afterTyping(100, 40).pauseAt(at('const a'))).toBeCloseTo(110);
  });

  it('is none where the engine is slower than the hands', () => {
    expect(afterTyping(100, 400).pauseAt(at('const a'))).toBe(0);
  });

  it('is shorter where a suggestion is wanted: behind a bracket, and on a fresh line', () => {
    const debounce = afterTyping(100, 0);
    expect(debounce.pauseAt(at('call('))).toBeLessThan(debounce.pauseAt(at('call')));
    expect(debounce.pauseAt(at('call();\n  '))).toBeLessThan(debounce.pauseAt(at('call(')));
  });

  it('does not take thinking for typing', () => {
    const debounce = afterTyping(100, 0);
    debounce.typed(60_000);
    expect(debounce.pauseAt(at('const a'))).toBeCloseTo(150);
  });
});
