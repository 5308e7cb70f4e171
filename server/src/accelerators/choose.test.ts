import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type ChoiceInput, chooseTries } from './choose.js';
import { buildFor, engineVersion } from './packages.js';

const linux: ChoiceInput = {
  wanted: 'auto',
  machine: 'linux-x64',
  installed: [],
  available: ['vulkan', 'cuda'],
};

test('given nothing that was fetched, then the processor is used and nothing has to be said', () => {
  expect(chooseTries(linux)).toEqual({ tries: [] });
});

test('given both builds, then CUDA is tried first, and what was asked for alone', () => {
  const both: ChoiceInput = { ...linux, installed: ['vulkan', 'cuda'] };
  expect(chooseTries(both)).toEqual({ tries: ['cuda', 'vulkan'] });
  expect(chooseTries({ ...both, wanted: 'vulkan' })).toEqual({ tries: ['vulkan'] });
  expect(chooseTries({ ...both, wanted: 'cpu' })).toEqual({ tries: [] });
});

test('given a wish that cannot be met, then the reason says what would help', () => {
  expect(chooseTries({ ...linux, wanted: 'cuda' }).reason).toContain('hearth accelerator add cuda');
  expect(chooseTries({ ...linux, wanted: 'metal' }).reason).toContain('Apple');
  const arm: ChoiceInput = { ...linux, wanted: 'cuda', machine: 'linux-arm64', available: [] };
  expect(chooseTries(arm).reason).toContain('no CUDA build for linux-arm64');
});

test('given a Mac with Apple silicon, then Metal is tried by itself', () => {
  const mac: ChoiceInput = { ...linux, machine: 'darwin-arm64', available: [] };
  expect(chooseTries(mac)).toEqual({ tries: ['metal'] });
  expect(chooseTries({ ...mac, wanted: 'metal' })).toEqual({ tries: ['metal'] });
});

test('the pinned packages are those of the version of node-llama-cpp that is used', () => {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const { dependencies } = JSON.parse(text) as { dependencies: Record<string, string> };
  expect(dependencies['node-llama-cpp']).toBe(engineVersion);
  for (const machine of ['linux-x64', 'win32-x64']) {
    for (const kind of ['vulkan', 'cuda'] as const) {
      const { packages = [] } = buildFor(kind, machine) ?? {};
      expect(packages).not.toHaveLength(0);
      for (const { sha512 } of packages) expect(Buffer.from(sha512, 'base64')).toHaveLength(64);
    }
  }
  expect(buildFor('cuda', 'linux-arm64')).toBeUndefined();
});
