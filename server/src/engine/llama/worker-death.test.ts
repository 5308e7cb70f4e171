import { expect, test } from 'vitest';
import { classifyDeath, findAssertion } from './worker-death.js';

test.each([
  [{ code: null, signal: 'SIGKILL' as const }, true, 'hung'],
  [{ code: null, signal: 'SIGKILL' as const }, false, 'out_of_memory'],
  [{ code: null, signal: 'SIGABRT' as const }, false, 'native_abort'],
  [{ code: null, signal: 'SIGSEGV' as const }, false, 'native_abort'],
  [{ code: 134, signal: null }, false, 'native_abort'],
  [{ code: null, signal: 'SIGTERM' as const }, false, 'signal'],
  [{ code: 1, signal: null }, false, 'exit'],
])('%o, hung %s, is %s', (exit, hung, kind) => {
  expect(classifyDeath(exit, { hung }).kind).toBe(kind);
});

test('of the error output only the failed check is told', () => {
  const output = 'some prompt text\n/build/llama/ggml.c:123: GGML_ASSERT(n > 0) failed\nmore text';
  expect(findAssertion(output)).toBe('ggml.c:123 GGML_ASSERT(n > 0)');
  expect(findAssertion('nothing of that kind')).toBeUndefined();
});

test('a crash in the first load of a model is held against the model; being killed or ended there is not', () => {
  const firstLoad = true;
  const crash = classifyDeath(
    { code: null, signal: 'SIGSEGV' },
    { firstLoad, assertion: 'gguf.cpp:1 GGML_ASSERT(x)' },
  );
  expect(crash).toEqual({
    kind: 'bad_model',
    text: 'the engine crashed while it loaded this model (SIGSEGV): gguf.cpp:1 GGML_ASSERT(x)',
  });
  expect(classifyDeath({ code: null, signal: 'SIGKILL' }, { firstLoad }).kind).toBe('out_of_memory');
  expect(classifyDeath({ code: 1, signal: null }, { firstLoad }).kind).toBe('exit');
});
