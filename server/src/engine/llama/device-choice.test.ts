import { HearthError } from '@hearth/protocol';
import { expect, test } from 'vitest';
import type { Installed } from '../../accelerators/accelerator-store.js';
import type { FetchedKind } from '../../accelerators/kinds.js';
import { DeviceChoice, type DeviceChoiceParts, type TriedBuild } from './device-choice.js';
import type { SelfTestResult } from './gpu-self-test.js';

const { signal } = new AbortController();
const build = (kind: FetchedKind, addedAt = 'today'): Installed => ({
  kind,
  folder: `/store/${kind}`,
  bytes: 1,
  addedAt,
});
const works = (device: string): SelfTestResult => ({
  works: true,
  gpu: { kind: 'cuda', device, totalBytes: 8, freeBytes: 6 },
});
const fails = (reason: string): SelfTestResult => ({ works: false, reason });

/** A choice on a Linux machine with these builds, whose tests end so; it notes what was tried. */
function choiceOf(
  installed: readonly Installed[],
  results: Partial<Record<string, SelfTestResult>>,
  wanted: DeviceChoiceParts['wanted'] = 'auto',
) {
  const tried: TriedBuild[] = [];
  const choice = new DeviceChoice({
    wanted,
    machine: 'linux-x64',
    store: { find: async (kind) => installed.find((one) => one.kind === kind) },
    test: async (one) => {
      tried.push(one);
      return results[one.kind] ?? fails('not in this test');
    },
  });
  return { choice, tried };
}

test('given no build, then the processor computes without a word', async () => {
  const { choice, tried } = choiceOf([], {});
  expect(await choice.choose(signal)).toEqual({ kind: 'cpu' });
  expect(tried).toEqual([]);
});

test('given a card that works, then it is chosen with its memory, and looked at anew for each load', async () => {
  const { choice, tried } = choiceOf([build('cuda')], { cuda: works('Card') });
  const chosen = { kind: 'cuda', folder: '/store/cuda', name: 'Card', totalBytes: 8, freeBytes: 6 };
  expect(await choice.choose(signal)).toEqual(chosen);
  expect(await choice.choose(signal)).toEqual(chosen);
  expect(tried).toHaveLength(2);
});

test('given a build that fails, then the next one is taken, and the failure is not tried again', async () => {
  const { choice, tried } = choiceOf([build('cuda'), build('vulkan')], {
    cuda: fails('No driver.'),
    vulkan: works('Other card'),
  });
  expect(await choice.choose(signal)).toMatchObject({ kind: 'vulkan', name: 'Other card' });
  expect(await choice.choose(signal)).toMatchObject({ kind: 'vulkan' });
  expect(tried.map(({ kind }) => kind)).toEqual(['cuda', 'vulkan', 'vulkan']);
});

test('given builds of which none works, then the processor computes and says why, until one is fetched anew', async () => {
  const installed = [build('cuda'), build('vulkan')];
  const { choice, tried } = choiceOf(installed, { cuda: fails('No driver.'), vulkan: fails('It crashed.') });
  const reason = 'CUDA: No driver. Vulkan: It crashed.';
  expect(await choice.choose(signal)).toEqual({ kind: 'cpu', reason });
  expect(await choice.choose(signal)).toEqual({ kind: 'cpu', reason });
  expect(tried).toHaveLength(2);
  installed[1] = build('vulkan', 'tomorrow');
  await choice.choose(signal);
  expect(tried.map(({ kind }) => kind)).toEqual(['cuda', 'vulkan', 'vulkan']);
});

test('given the wish for the processor, or for a build that is not there, then nothing is tried', async () => {
  const cpu = choiceOf([build('cuda')], { cuda: works('Card') }, 'cpu');
  expect(await cpu.choice.choose(signal)).toEqual({ kind: 'cpu' });
  const absent = choiceOf([build('cuda')], { cuda: works('Card') }, 'vulkan');
  expect(await absent.choice.choose(signal)).toEqual({
    kind: 'cpu',
    reason: expect.stringContaining('hearth accelerator add vulkan') as string,
  });
  expect([...cpu.tried, ...absent.tried]).toEqual([]);
});

test('given a build that must not be used, then the reason is told, and a test that was aborted is not remembered', async () => {
  const closed = new DeviceChoice({
    wanted: 'auto',
    machine: 'linux-x64',
    store: { find: () => Promise.reject(new HearthError('forbidden', 'Others can write there.')) },
    test: async () => works('Card'),
  });
  expect(await closed.choose(signal)).toMatchObject({
    kind: 'cpu',
    reason: expect.stringContaining('Others can write there.') as string,
  });
  let attempts = 0;
  const aborted = new DeviceChoice({
    wanted: 'auto',
    machine: 'linux-x64',
    store: { find: async (kind) => (kind === 'cuda' ? build('cuda') : undefined) },
    test: async () => {
      attempts += 1;
      if (attempts === 1) throw new DOMException('ended', 'AbortError');
      return works('Card');
    },
  });
  await expect(aborted.choose(signal)).rejects.toThrow('ended');
  expect(await aborted.choose(signal)).toMatchObject({ kind: 'cuda' });
});
