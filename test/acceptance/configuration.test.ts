import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Exit, hearthScope, type HearthProcess, type Home } from '../support/daemon.js';
import { askOnce, isObject, say } from '../support/raw-client.js';

describe('configuration', () => {
  const hearth = hearthScope('test');

  /** `hearth config check`: what the flags, the environment and the file come to. */
  const check = async (
    home: Home,
    args: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
  ): Promise<HearthProcess & { exit: Exit }> => {
    const one = hearth.run(['config', 'check', ...args], { home, env });
    return Object.assign(one, { exit: await one.end() });
  };
  const write = (home: Home, name: string, content: unknown): string => {
    const file = path.join(home.root, name);
    fs.writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
    return file;
  };
  const defaultFile = (home: Home): string => path.join(home.home, '.hearth', 'config.json');

  test('row 81: flags are stronger than the environment, it than the file, and that than the default', async () => {
    const home = hearth.makeHome();
    const file = write(home, 'c.json', { log_dir: '/file', queue_depth: 4, runtime_dir: '/file' });
    const { exit, stdout } = await check(home, ['--config', file, '--log-dir', '/flag'], {
      HEARTH_LOG_DIR: '/env',
      HEARTH_RUNTIME_DIR: '/env',
    });
    expect(exit.code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      log_dir: '/flag',
      runtime_dir: '/env',
      queue_depth: 4,
      active_permits: 1,
    });
  });

  test('row 81: the file of $HEARTH_CONFIG is read, and --config is stronger', async () => {
    const home = hearth.makeHome();
    const HEARTH_CONFIG = write(home, 'env.json', { queue_depth: 5 });
    const flag = write(home, 'flag.json', { queue_depth: 6 });
    expect(JSON.parse((await check(home, [], { HEARTH_CONFIG })).stdout)).toMatchObject({ queue_depth: 5 });
    const both = await check(home, ['--config', flag], { HEARTH_CONFIG });
    expect(JSON.parse(both.stdout)).toMatchObject({ queue_depth: 6 });
  });

  test.each([
    ['a wrong type', { queue_depth: 'many' }, /queue_depth/],
    ['an unknown kind of backend', { backends: [{ kind: 'steam' }] }, /backends\.0/],
    ['no JSON', '{', /not valid JSON/],
    ['no object', [], /one JSON object/],
  ])('row 81: %s in the file ends the start with 2', async (_what, content, reason) => {
    const home = hearth.makeHome();
    const daemon = hearth.spawnServe({
      home,
      plain: true,
      args: ['--config', write(home, 'c.json', content)],
    });
    expect((await daemon.end()).code).toBe(2);
    expect(daemon.stderr).toMatch(reason);
    expect(fs.readdirSync(home.runtimeDir)).toEqual([]);
  });

  test('row 82: a model and backends in one file are an error that names both', async () => {
    const home = hearth.makeHome();
    const file = write(home, 'c.json', { model: 'pilot', backends: [{ kind: 'llama', model: 'pilot' }] });
    const wrong = await check(home, ['--config', file]);
    expect(wrong.exit.code).toBe(2);
    expect(wrong.stderr).toMatch(/model.*backends/);
  });

  test('row 82: a list of backends serves, in its order; a flag that names an engine is stronger', async () => {
    const home = hearth.makeHome();
    const backends = [
      { kind: 'mock', name: 'one', tokens: ['1'] },
      { kind: 'mock', name: 'two', tokens: ['2'] },
    ];
    const args = ['--config', write(home, 'c.json', { backends })];
    const daemon = await hearth.serve({ home, plain: true, args });
    expect((await askOnce(home.inferenceSocket, say('a'))).at(-1)).toMatchObject({
      backend: 'one',
      content: '1',
    });
    await daemon.stop();
    await hearth.serve({ home, mock: { name: 'flag' }, args });
    expect((await askOnce(home.inferenceSocket, say('b'))).at(-1)).toMatchObject({ backend: 'flag' });
  });

  test('row 82: a model alone is a list of one', async () => {
    const home = hearth.makeHome();
    const args = [
      '--config',
      write(home, 'c.json', { backends: [{ kind: 'llama', name: 'mine', model: 'pilot' }] }),
    ];
    await hearth.serve({ home, plain: true, args });
    const answer = await askOnce(home.inferenceSocket, say('a', { max_tokens: 2 }));
    expect(answer.at(-1)).toMatchObject({ type: 'done', backend: 'mine' });
  });

  test('row 83: a key stands in the environment; one that is missing is named, by its name only', async () => {
    const home = hearth.makeHome();
    const args = ['--tcp', '127.0.0.1:0', '--tcp-key-env', 'HEARTH_TEST_KEY'];
    const without = hearth.spawnServe({ home, args });
    expect((await without.end()).code).toBe(2);
    expect(without.stderr).toContain('HEARTH_TEST_KEY');

    const secret = 'a-secret-of-nobody-4711';
    const daemon = await hearth.serve({ home, args, env: { HEARTH_TEST_KEY: secret } });
    const config = await check(home, args, { HEARTH_TEST_KEY: secret });
    await daemon.stop();
    for (const text of [daemon.stdout, daemon.stderr, daemon.log.text(), config.stdout, config.stderr])
      expect(text).not.toContain(secret);
  });

  test('row 85: the first start writes the default file; what it says holds from then on', async () => {
    const home = hearth.makeHome();
    const first = await hearth.serve({ home });
    await first.stop();
    const file = defaultFile(home);
    expect(fs.statSync(file).mode & 0o777).toBe(0o600);
    const content: unknown = JSON.parse(fs.readFileSync(file, 'utf8'));
    expect(isObject(content) && content['queue_depth']).toBe(10);

    fs.writeFileSync(file, JSON.stringify({ queue_depth: 3 }));
    expect(JSON.parse((await check(home)).stdout)).toMatchObject({ queue_depth: 3 });
    const second = await hearth.serve({ home });
    await second.stop();
    // One that is there is never written again.
    expect(fs.readFileSync(file, 'utf8')).toBe('{"queue_depth":3}');
  });

  test('row 85: a file that was named and is missing is an error, and is not made', async () => {
    const home = hearth.makeHome();
    const absent = path.join(home.root, 'absent.json');
    for (const [args, env] of [
      [['--config', absent], {}],
      [[], { HEARTH_CONFIG: absent }],
    ] as const) {
      const daemon = hearth.spawnServe({ home, args, env });
      expect((await daemon.end()).code).toBe(2);
      expect(daemon.stderr).toContain(absent);
    }
    expect(fs.existsSync(absent)).toBe(false);
    expect(fs.existsSync(defaultFile(home))).toBe(false);
  });

  test('row 85: to look at the configuration writes nothing', async () => {
    const home = hearth.makeHome();
    expect((await check(home)).exit.code).toBe(0);
    expect(fs.existsSync(defaultFile(home))).toBe(false);
  });

  test('rows 159, 160, 161: limits of zero and unknown keys are named, all of them at once', async () => {
    const home = hearth.makeHome();
    const file = write(home, 'c.json', { active_permits: 0, drain_timeout_secs: 0, quue_depth: 1 });
    const daemon = hearth.spawnServe({ home, plain: true, args: ['--config', file] });
    expect((await daemon.end()).code).toBe(2);
    const lines = daemon.stderr.trim().split('\n');
    expect(lines).toHaveLength(1);
    for (const key of ['active_permits', 'drain_timeout_secs', 'quue_depth']) expect(lines[0]).toContain(key);
  });
});
