import { describe, expect, test } from 'vitest';
import { checkBinary, checkExtraArgs, ForbiddenArgument } from './llama-server-args.js';
import { childEnvironment } from './child-environment.js';

describe('row 113: extra arguments', () => {
  test.each([
    [['--flash-attn', 'on']],
    [['--temp', '-1', '--top-k=40']],
    [['-ctk', 'q8_0', '--no-mmap']],
    [[]],
  ])('%j may be set', (args) => {
    expect(() => checkExtraArgs(args)).not.toThrow();
  });

  test.each([
    ['--host'],
    ['--port=1'],
    ['-m'],
    ['--model'],
    ['--model-url'],
    ['--api-key-file'],
    ['--lora'],
    ['-ngl'],
    ['--parallel'],
    ['--ctx-size'],
    ['--tools'],
    ['--slot-save-path'],
    ['--chat-template-file'],
  ])('%s is refused by its name', (flag) => {
    expect(() => checkExtraArgs(['--flash-attn', flag])).toThrow(flag.split('=')[0]);
  });
});

describe('row 114: the program', () => {
  const links: Readonly<Record<string, string>> = {
    '/usr/local/bin/llama-server': '/usr/local/bin/llama-server',
    '/usr/local/bin/llama-server-vulkan': '/usr/local/bin/llama-server-vulkan',
    '/usr/local/bin/../../bin/sh': '/bin/sh',
    '/usr/local/bin/link': '/tmp/llama-server',
    '/usr/local/bin/bash': '/usr/local/bin/bash',
    '/usr/local/bin/llama-server;x': '/usr/local/bin/llama-server;x',
  };
  const resolve = (file: string): string => {
    const real = links[file];
    if (real === undefined) throw new Error('ENOENT');
    return real;
  };

  test.each(['/usr/local/bin/llama-server', '/usr/local/bin/llama-server-vulkan'])('%s may run', (file) => {
    expect(checkBinary(file, resolve)).toBe(file);
  });

  test.each([
    '/usr/local/bin/../../bin/sh',
    '/usr/local/bin/link',
    '/usr/local/bin/bash',
    '/usr/local/bin/llama-server;x',
    '/usr/local/bin/missing',
    'llama-server',
    './llama-server',
  ])('%s may not', (file) => {
    expect(() => checkBinary(file, resolve)).toThrow(ForbiddenArgument);
  });
});

test('row 112: a service sees an allow-list of the environment, and what its configuration sets', () => {
  const ours = {
    PATH: '/bin',
    LC_ALL: 'C',
    CUDA_VISIBLE_DEVICES: '1',
    OPENAI_API_KEY: 'canary',
    LD_PRELOAD: '/evil.so',
    NODE_OPTIONS: '--require evil',
    SSH_AUTH_SOCK: '/x',
  };
  expect(childEnvironment(ours, { CUDA_VISIBLE_DEVICES: '0', MORE: '1' })).toEqual({
    PATH: '/bin',
    LC_ALL: 'C',
    CUDA_VISIBLE_DEVICES: '0',
    MORE: '1',
  });
});
