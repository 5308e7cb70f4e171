import { expect, test } from 'vitest';
import { parsePullSource } from './pull-source.js';

test.each([
  [
    'hf:Qwen/Qwen2.5-Coder-1.5B-GGUF/q4.gguf',
    'https://huggingface.co/Qwen/Qwen2.5-Coder-1.5B-GGUF/resolve/main/q4.gguf',
  ],
  ['hf:a/b/sub/m.gguf@v1', 'https://huggingface.co/a/b/resolve/v1/sub/m.gguf'],
  ['https://huggingface.co/a/b/blob/main/m.gguf', 'https://huggingface.co/a/b/resolve/main/m.gguf'],
  ['https://example.com/m.gguf?download=true', 'https://example.com/m.gguf?download=true'],
  ['http://127.0.0.1:8/m.gguf', 'http://127.0.0.1:8/m.gguf'],
])('%s is %s', (text, url) => {
  expect(parsePullSource(text).url.href).toBe(url);
});

test('any file of a model in several means all of them', () => {
  const { url, fileName, parts = [] } = parsePullSource('hf:a/b/sub/m-00002-of-00003.gguf@v1');
  expect(fileName).toBe('m.gguf');
  expect(parts.map((part) => part.url.pathname)).toEqual([
    '/a/b/resolve/v1/sub/m-00001-of-00003.gguf',
    '/a/b/resolve/v1/sub/m-00002-of-00003.gguf',
    '/a/b/resolve/v1/sub/m-00003-of-00003.gguf',
  ]);
  expect(url.href).toBe(parts[0]?.url.href);
});

test('what is shown has no query in it, since that may be a key', () => {
  expect(parsePullSource('https://example.com/m.gguf?key=secret').shownUrl).toBe(
    'https://example.com/m.gguf',
  );
});

test.each([
  'hf:a/b',
  'hf:a/b/../c.gguf',
  'hf:/a/b.gguf',
  'hf:a//b.gguf',
  'hf:a/b/c.gguf@x@y',
  'hf:a/b/c.gguf@../x',
  'hf:a/b/c.txt',
  'model',
  '',
  'http://example.com/m.gguf',
  'https://user:pass@example.com/m.gguf',
  'https://example.com/m.exe',
  'file:///m.gguf',
  `https://example.com/${'x'.repeat(3000)}.gguf`,
])('%s is refused', (text) => {
  expect(() => parsePullSource(text)).toThrow(expect.objectContaining({ problem: 'bad_source' }));
});

test('a mirror stands in for Hugging Face', () => {
  expect(parsePullSource('hf:a/b/m.gguf', 'http://127.0.0.1:8').url.href).toBe(
    'http://127.0.0.1:8/a/b/resolve/main/m.gguf',
  );
});
