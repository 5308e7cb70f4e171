import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Exit, type Home, hearthScope, type HearthProcess } from '../support/daemon.js';
import { HeldService, serveBefore } from '../support/held-service.js';
import { say, toFrame } from '../support/raw-client.js';
import { processesNaming } from '../support/processes.js';

const daemonFlags = [
  ...[
    '--runtime-dir',
    '--config',
    '--model',
    '--engine',
    '--mock',
    '--tcp',
    '--tcp-key-env',
    '--active-permits',
  ],
  ...['--queue-depth', '--ready-timeout-secs', '--write-timeout-secs', '--log-dir'],
];

describe('the command line', () => {
  const hearth = hearthScope('test');
  const run = async (...args: string[]): Promise<HearthProcess & { exit: Exit }> => finish(hearth.run(args));
  const at = async (home: Home, ...args: string[]): Promise<HearthProcess & { exit: Exit }> =>
    finish(hearth.run([...args, '--runtime-dir', home.runtimeDir], { home }));

  test.each([
    ['serve', daemonFlags],
    ['sidecar', daemonFlags],
    ['generate', ['--model', '--max-tokens', '--temperature', '--seed', '--json', '--runtime-dir']],
    ['status', ['--json', '--watch', '--runtime-dir']],
  ])('hearth %s --help names its flags and ends with 0', async (command, flags) => {
    const help = await run(command, '--help');
    expect(help.exit).toEqual({ code: 0, signal: null });
    for (const flag of flags) expect(help.stdout).toMatch(new RegExp(`${flag}\\b`));
    expect(help.stderr).toBe('');
  });

  test('hearth --help names the commands and the exit codes', async () => {
    const help = await run('--help');
    expect(help.exit.code).toBe(0);
    for (const word of ['serve', 'sidecar', 'generate', 'status', 'xit codes'])
      expect(help.stdout).toContain(word);
  });

  test.each([
    [['serve', '--runtim-dir', 'x'], '--runtime-dir'],
    [['serve', '--active-permit', '2'], '--active-permits'],
    [['sidecar', '--queue-dept', '2'], '--queue-depth'],
    [['generate', 'hi', '--max-token', '2'], '--max-tokens'],
    [['generate', 'hi', '--temprature', '2'], '--temperature'],
    [['status', '--wach'], '--watch'],
    [['statsu'], 'status'],
  ])('a wrong flag or command in %j ends with 2 and names the nearest right one', async (args, right) => {
    const wrong = await run(...args);
    expect(wrong.exit).toEqual({ code: 2, signal: null });
    expect(wrong.stderr).toContain(right);
    expect(wrong.stdout).toBe('');
  });

  test.each([
    [['serve', '--engine', 'mock', '--active-permits', '0'], 'active_permits'],
    [['serve', '--engine', 'mock', '--active-permits', 'two'], 'active_permits'],
    [['serve', '--engine', 'mock', '--queue-depth', '-1'], 'queue_depth'],
    [['serve', '--engine', 'mock', '--ready-timeout-secs', 'soon'], 'ready_timeout_secs'],
    [['serve', '--engine', 'mock', '--mock', '{'], 'mock'],
    [['serve', '--engine', 'mock', '--mock', '{"tokenz":[]}'], 'tokenz'],
    [['serve', '--engine', 'mock', '--mock', '{"pre_stream_error":"bad"}'], 'pre_stream_error'],
    [['serve', '--engine', 'steam'], 'steam'],
    [['generate'], 'prompt'],
    [['generate', 'hi', '--max-tokens', 'many'], 'many'],
  ])('a wrong value in %j ends with 2 and names it', async (args, name) => {
    const wrong = await run(...args);
    expect(wrong.exit).toEqual({ code: 2, signal: null });
    expect(wrong.stderr.replaceAll('-', '_')).toContain(name.replaceAll('-', '_'));
  });

  test('a configuration file is read, and a flag is stronger', async () => {
    const home = hearth.makeHome();
    const config = path.join(home.root, 'config.json');
    fs.writeFileSync(
      config,
      JSON.stringify({ engine: 'mock', mock: { name: 'from-file', tokens: ['file'] } }),
    );
    const daemon = await hearth.serve({ home, plain: true, args: ['--config', config] });
    expect((await at(home, 'generate', 'hi')).stdout).toBe('file\n');
    await daemon.stop();
    await hearth.serve({ home, plain: true, args: ['--config', config, '--mock', '{"tokens":["flag"]}'] });
    expect((await at(home, 'generate', 'hi')).stdout).toBe('flag\n');
  });

  test('hearth generate streams from the running daemon as the tokens come', async () => {
    const service = await HeldService.listen(['alpha ', 'beta ', 'gamma']);
    const daemon = await serveBefore(hearth, service);
    const generate = hearth.run(['generate', 'hi', '--runtime-dir', daemon.home.runtimeDir], {
      home: daemon.home,
    });
    await generate.printed('alpha ');
    expect(generate.stdout).toBe('alpha ');
    service.release();
    expect(await generate.end()).toEqual({ code: 0, signal: null });
    expect(generate.stdout).toBe('alpha beta gamma\n');
  });

  test('hearth generate --json prints the frames of the protocol', async () => {
    const daemon = await hearth.serve({ mock: { tokens: ['a', 'b', 'c'] } });
    const generate = await at(daemon.home, 'generate', 'hi', '--json', '--max-tokens', '2', '--seed', '1');
    const frames = generate.stdout.trimEnd().split('\n').map(toFrame);
    expect(frames).toMatchObject([
      { type: 'token', content: 'a' },
      { type: 'token', content: 'b' },
      { type: 'done', content: 'ab', stop_reason: 'length', backend: 'mock' },
    ]);
  });

  test('hearth generate waits for a daemon that is still starting', async () => {
    const daemon = hearth.spawnServe({ mock: { tokens: ['late'], ready_after_ms: 800 } });
    await daemon.admin();
    const generate = await at(daemon.home, 'generate', 'hi');
    expect(generate.stdout).toBe('late\n');
    expect(generate.exit.code).toBe(0);
  });

  test('hearth generate starts a daemon where none runs, answers with the real model, and leaves nothing', async () => {
    const home = hearth.makeHome();
    const generate = await at(
      home,
      'generate',
      'function add(a, b) {',
      '--max-tokens',
      '8',
      '--temperature',
      '0',
    );
    expect(generate.exit).toEqual({ code: 0, signal: null });
    expect(generate.stdout.trim().length).toBeGreaterThan(0);
    expect(processesNaming(`${home.root}/`)).toEqual([]);
    expect(fs.readdirSync(home.runtimeDir)).toEqual(['hearth.lock']);
  });

  test('hearth generate exits with the code of what went wrong', async () => {
    const failing = await hearth.serve({ mock: { pre_stream_error: 'unavailable' } });
    const unavailable = await at(failing.home, 'generate', 'hi');
    expect(unavailable.exit.code).toBe(4);
    expect(unavailable.stderr).toMatch(/^hearth: ./m);

    const internal = await hearth.serve({ mock: { pre_stream_error: 'internal' } });
    expect((await at(internal.home, 'generate', 'hi')).exit.code).toBe(1);

    const invalid = await hearth.serve({ mock: { pre_stream_error: 'invalid_request' } });
    expect((await at(invalid.home, 'generate', 'hi')).exit.code).toBe(2);

    const full = await hearth.serve({ mock: { token_delay_ms: 600_000 }, args: ['--queue-depth', '0'] });
    const holder = await full.connect();
    await holder.sendJson(say('holder'), { id: 'confirm', messages: [] });
    await holder.frame();
    expect((await at(full.home, 'generate', 'hi')).exit.code).toBe(5);
    holder.destroy();
  });

  test('hearth generate that is interrupted ends with 130, and the work in the daemon with it', async () => {
    const daemon = await serveBefore(hearth, await HeldService.listen(['a', 'b']));
    const generate = hearth.run(['generate', 'hi', '--runtime-dir', daemon.home.runtimeDir], {
      home: daemon.home,
    });
    await generate.printed('a');
    generate.signal('SIGINT');
    expect((await generate.end()).code).toBe(130);
    await daemon.log.waitFor({ msg: 'request_cancelled', stage: 'decode' });
  });

  test('row 171: hearth status prints the state once and ends with 0', async () => {
    const daemon = await hearth.serve({ mock: { name: 'shown' } });
    const status = await at(daemon.home, 'status');
    expect(status.exit.code).toBe(0);
    expect(status.stdout).toContain('ready');
    expect(status.stdout).toContain('shown');
  });

  test('row 171: hearth status --json prints the admin frames once', async () => {
    const daemon = await hearth.serve();
    const status = await at(daemon.home, 'status', '--json');
    expect(status.stdout.trimEnd().split('\n').map(toFrame)).toMatchObject([
      { id: 'admin', type: 'status', status: 'capabilities', backend: 'mock' },
      { id: 'admin', type: 'status', status: 'ready' },
    ]);
  });

  test('row 171: hearth status says that no daemon runs, or that it is not ready, and ends with 4', async () => {
    const absent = await at(hearth.makeHome(), 'status');
    expect(absent.exit.code).toBe(4);
    expect(absent.stderr).toContain('hearth serve');

    const loading = hearth.spawnServe({ mock: { ready_after_ms: -1 } });
    await loading.admin();
    expect((await at(loading.home, 'status')).exit.code).toBe(4);
  });

  test('row 171: hearth status --watch follows to the end', async () => {
    const daemon = hearth.spawnServe({ mock: { ready_after_ms: 800 } });
    await daemon.admin();
    const args = ['status', '--watch', '--json', '--runtime-dir', daemon.home.runtimeDir];
    const watch = hearth.run(args, { home: daemon.home });
    await watch.printed('"ready"');
    daemon.signal('SIGTERM');
    expect((await watch.end()).code).toBe(0);
    const statuses = watch.stdout
      .trimEnd()
      .split('\n')
      .map((line) => toFrame(line)['status']);
    expect(statuses.at(-1)).toBe('draining');
    await daemon.end();
  });

  test.each(['SIGTERM', 'SIGINT'] as const)('hearth serve ends cleanly on %s', async (signal) => {
    const daemon = await hearth.serve();
    daemon.signal(signal);
    const exit = await daemon.end();
    expect(exit.signal).toBeNull();
    expect([0, 130]).toContain(exit.code);
    expect(fs.readdirSync(daemon.home.runtimeDir)).toEqual(['hearth.lock']);
    expect(daemon.log.matching({ msg: 'daemon_stopped' })).toHaveLength(1);
  });
});

async function finish(started: HearthProcess): Promise<HearthProcess & { exit: Exit }> {
  return Object.assign(started, { exit: await started.end() });
}
