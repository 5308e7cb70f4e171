import { promises as fs } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RememberedChoice } from './remembered-choice.js';

let home: string;
beforeEach(async () => {
  home = await fs.mkdtemp(path.join(os.tmpdir(), 'hearth-choice-'));
});
afterEach(async () => {
  await fs.rm(home, { recursive: true, force: true });
});

test('the last of several choices is what another daemon reads, and nothing else is left', async () => {
  const store = path.join(home, 'models');
  const choice = new RememberedChoice(store);
  expect(await choice.read()).toBeUndefined();
  await Promise.all([choice.keep('alpha'), choice.keep(undefined), choice.keep('beta')]);
  expect(await new RememberedChoice(store).read()).toBe('beta');
  expect(await fs.readdir(store)).toEqual(['chosen.json']);
  await choice.keep(undefined);
  expect(await choice.read()).toBeUndefined();
  expect(await fs.readdir(store)).toEqual([]);
});

test.each(['', 'null', '{"schema":2,"model":"alpha"}', '{"schema":1,"model":""}', '{"schema":1}'])(
  'a file that says %j says nothing',
  async (text) => {
    await fs.writeFile(path.join(home, 'chosen.json'), text);
    expect(await new RememberedChoice(home).read()).toBeUndefined();
  },
);

test('a place that cannot be written to keeps nobody from switching', async () => {
  await fs.writeFile(path.join(home, 'models'), 'a file in its place');
  const choice = new RememberedChoice(path.join(home, 'models'));
  await choice.keep('alpha');
  expect(await choice.read()).toBeUndefined();
});
