import { expect, test } from 'vitest';
import { workerEnvironment } from './worker-environment.js';

const env = {
  PATH: '/bin',
  HOME: '/home/me',
  GGML_VK_VISIBLE_DEVICES: '0',
  CUDA_VISIBLE_DEVICES: '1',
  NODE_OPTIONS: '--require evil',
  LD_LIBRARY_PATH: '/other',
  LD_PRELOAD: '/other.so',
  HEARTH_TCP_KEY: 'secret',
};

test('row 112: a worker sees an allow-list, no foreign code and no secrets', () => {
  expect(workerEnvironment(env, false)).toEqual({
    PATH: '/bin',
    HOME: '/home/me',
    GGML_VK_VISIBLE_DEVICES: '0',
    CUDA_VISIBLE_DEVICES: '1',
  });
});

test('under Electron it is told to run as Node', () => {
  expect(workerEnvironment({}, true)).toEqual({ ELECTRON_RUN_AS_NODE: '1' });
});
