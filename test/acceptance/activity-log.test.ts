import fs from 'node:fs';
import path from 'node:path';
import { activityEventSchema } from '@hearth/protocol';
import { describe, expect, test } from 'vitest';
import { everyFile, type LogRecord } from '../support/activity-log.js';
import { hearthScope, type HearthProcess } from '../support/daemon.js';
import { askOnce, RawClient, say } from '../support/raw-client.js';

const cap = 16 * 1024 * 1024;

describe('the activity log', () => {
  const hearth = hearthScope('test');

  test('row 88: each line is one JSON object with time, level, component and message', async () => {
    const daemon = await hearth.serve({ mock: { tokens: ['a', 'b'], mid_stream_drop_after: 1 } });
    await askOnce(daemon.home.inferenceSocket, say('one'));
    await askOnce(daemon.home.inferenceSocket, { id: 'two', messages: [] });
    await daemon.stop();

    expect(daemon.log.text()).toMatch(/\}\n$/);
    const records = daemon.log.records();
    expect(records.length).toBeGreaterThanOrEqual(6);
    for (const record of records) {
      expect(record['t']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/);
      expect(['debug', 'info', 'warn', 'error']).toContain(record['level']);
      expect(record['component']).toMatch(/^[a-z_-]+$/);
      expect(activityEventSchema.safeParse(record).error?.message).toBeUndefined();
    }
    const told = records.map((record) => record['msg']);
    for (const message of ['daemon_started', 'daemon_ready', 'daemon_draining', 'daemon_stopped']) {
      expect(told.filter((one) => one === message)).toHaveLength(1);
    }
  });

  test('row 89: each done has exactly one request_done, with what it cost', async () => {
    const daemon = await hearth.serve({ mock: { tokens: ['a', 'b', 'c'] } });
    const client = await daemon.connect();
    for (const id of ['x', 'y', 'z']) await client.ask(say(id, { max_tokens: id === 'z' ? 2 : 9 }));
    client.destroy();
    await daemon.stop();
    const done = daemon.log.matching({ msg: 'request_done' });
    expect(done.map((record) => record['req_id'])).toEqual(['x', 'y', 'z']);
    expect(done).toMatchObject([
      { level: 'info', backend: 'mock', stop_reason: 'end', prompt_tokens: 0, completion_tokens: 3 },
      { backend: 'mock', stop_reason: 'end', completion_tokens: 3 },
      { backend: 'mock', stop_reason: 'length', completion_tokens: 2 },
    ]);
  });

  test('row 90: a failure in mid-stream is one warning with request and backend', async () => {
    const daemon = await hearth.serve({
      mock: { name: 'flaky', tokens: ['a', 'b'], mid_stream_drop_after: 1 },
    });
    await askOnce(daemon.home.inferenceSocket, say('broke'));
    await daemon.stop();
    expect(daemon.log.records().filter((record) => record['req_id'] === 'broke')).toMatchObject([
      { level: 'warn', msg: 'request_error_mid_stream', req_id: 'broke', backend: 'flaky' },
    ]);
  });

  test('row 42: an accepted connection has its transport and the peer that the kernel names', async () => {
    const daemon = await hearth.serve({ args: ['--tcp', '127.0.0.1:0'] });
    const admin = await daemon.admin();
    const port = Number(/:(\d+)$/.exec(String((await admin.until('ready'))['tcp']))?.[1]);
    admin.destroy();
    await askOnce(daemon.home.inferenceSocket, say('unix'));
    await askOnce({ port }, say('tcp'));
    await daemon.stop();

    const accepted = daemon.log.matching({ msg: 'connection_accepted' });
    const unix = accepted.filter((record) => record['transport'] === 'unix');
    expect(unix.length).toBeGreaterThan(0);
    for (const record of unix)
      expect(record).toMatchObject({ peer_uid: process.getuid?.(), peer_pid: process.pid });
    const [tcp] = accepted.filter((record) => record['transport'] === 'tcp');
    expect(tcp?.['peer']).toContain('127.0.0.1');
    // TCP names no user and no process: none is made up.
    expect(tcp).not.toHaveProperty('peer_uid');
    expect(tcp).not.toHaveProperty('peer_pid');
  });

  test.each([
    ['ends well', {}],
    ['drops in mid-stream', { mid_stream_drop_after: 1 }],
    ['fails before it', { pre_stream_error: 'internal' }],
  ] as const)('row 91: no content reaches a log or an output when the stream %s', async (_what, fault) => {
    const secret = 'CANARY';
    const daemon = await hearth.serve({
      mock: { tokens: [`${secret}-generated `, `${secret}-more`], ...fault },
      args: ['--tcp', '127.0.0.1:0', '--tcp-key-env', 'A_KEY'],
      env: { A_KEY: `${secret}-tcp-key` },
    });
    const admin = await daemon.admin();
    const port = Number(/:(\d+)$/.exec(String((await admin.until('ready'))['tcp']))?.[1]);
    const errors: unknown[] = [];
    const ask = async (value: unknown): Promise<void> => {
      const last = (await askOnce(daemon.home.inferenceSocket, value)).at(-1);
      if (last?.['type'] === 'error') errors.push(last['message']);
    };
    await ask(say('plain', { messages: [{ role: 'user', content: `${secret}-prompt` }] }));
    await ask({
      id: 'raw',
      prompt: `${secret}-prompt`,
      suffix: `${secret}-suffix`,
      stop: [`${secret}-stop`],
    });
    // Wrong in every place that could quote it.
    await ask({ id: 'role', messages: [{ role: `${secret}-role`, content: `${secret}-prompt` }] });
    await ask({ id: 'content', messages: [{ role: 'user', content: [`${secret}-array`] }] });
    await ask({ id: 'both', messages: [{ role: 'user', content: 'x' }], prompt: `${secret}-prompt` });
    await ask(
      say('types', {
        temperature: `${secret}-hot`,
        [`${secret}-field`]: 1,
        grammar: { deep: `${secret}-g` },
      }),
    );
    await ask(say('grammar', { grammar: `root ::= ${secret}-grammar ${'|'.repeat(5000)}` }));
    await ask(say('model', { model: `${secret}-model` }));
    await ask([`${secret}-array`]);
    for (const line of [`${secret}-garbage`, `{"id":"x","messages":"${secret}-text`]) {
      const broken = await daemon.connect();
      await broken.send(`${line}\n`);
      errors.push(...(await broken.rest()).map((frame) => frame['message']));
    }
    const rejected = await RawClient.connect({ port });
    await rejected.sendJson({ type: 'auth', key: `${secret}-wrong-key` });
    await rejected.closed();
    const gone = await daemon.connect();
    await gone.sendJson(say('gone', { messages: [{ role: 'user', content: `${secret}-prompt` }] }));
    gone.destroy();
    daemon.signal('SIGTERM');
    const frames = await admin.untilEnd();
    await daemon.end();

    expect(errors.length).toBeGreaterThanOrEqual(8);
    expect(JSON.stringify(errors)).not.toContain(secret);
    expect(JSON.stringify(frames)).not.toContain(secret);
    expect(daemon.stdout + daemon.stderr).not.toContain(secret);
    const files = everyFile(daemon.home.root);
    expect(files.map(({ file }) => path.basename(file))).toContain('hearth.ndjson');
    for (const { file, bytes } of files) expect(bytes.includes(secret), file).toBe(false);
    expect(daemon.log.records().length).toBeGreaterThan(10);
  });

  test('row 92: secrets in a request id never reach the disk, safe text does, and lines stay JSON', async () => {
    const daemon = await hearth.serve();
    // Put together here, so that no file of ours looks like a leak.
    const letters = 'abcdefghijklmnopqrstuvwxyz0123456789';
    const secrets = [
      `sk-${letters}`,
      `sk-proj-${letters.slice(0, 20)}-${letters.slice(0, 10)}`,
      `AKIA${letters.slice(0, 16).toUpperCase()}`,
      `ghp_${letters}`,
      `xoxb-${letters}`,
      `eyJ${letters}.${letters}.${letters}`,
    ];
    const ids = [
      ...secrets,
      `Authorization: Bearer ${letters}`,
      `password=${letters}`,
      `"api_key": "${letters}"`,
      `https://user:${letters}@example.invalid/`,
    ];
    for (const id of ids) {
      expect((await askOnce(daemon.home.inferenceSocket, say(id))).at(-1)).toMatchObject({
        id,
        type: 'done',
      });
    }
    await askOnce(daemon.home.inferenceSocket, say('safe-id/42: plain text, nothing else'));
    await daemon.stop();

    const text = daemon.log.text();
    for (const secret of secrets) expect(text).not.toContain(secret);
    expect(text).not.toContain(letters);
    const logged = daemon.log.matching({ msg: 'request_done' }).map((record) => String(record['req_id']));
    expect(logged).toHaveLength(ids.length + 1);
    expect(logged.at(-1)).toBe('safe-id/42: plain text, nothing else');
    for (const id of logged.slice(0, -1)) expect(id).toContain('[REDACTED');
  });

  test('row 93: over 16 MiB the file moves to .1, three generations stay, and writing goes on in the live file', async () => {
    const home = hearth.makeHome();
    const generation = (number: number): string => `${home.log.file}${number === 0 ? '' : `.${number}`}`;
    let previous: HearthProcess | undefined;
    for (let round = 1; round <= 5; round += 1) {
      await previous?.stop();
      fillToTheCap(home.log.file, round);
      previous = await hearth.serve({ home });
      // Everything of the start is in the live file, which is a new one.
      await home.log.waitFor({ msg: 'daemon_ready' });
      expect(home.log.matching({ msg: 'daemon_ready' })).toHaveLength(1);
      expect(fs.statSync(home.log.file).size).toBeLessThan(cap);
      expect(firstLine(generation(1))).toMatchObject({ round });
    }
    expect([1, 2, 3].map((number) => firstLine(generation(number))['round'])).toEqual([5, 4, 3]);
    expect(fs.existsSync(generation(4))).toBe(false);
    for (const number of [1, 2, 3]) expect(fs.statSync(generation(number)).size).toBeLessThanOrEqual(cap);
  });

  test('row 94: --log-dir before HEARTH_LOG_DIR before the home', async () => {
    const home = hearth.makeHome();
    const serve = ['serve', '--engine', 'mock', '--runtime-dir', home.runtimeDir];
    const where = async (
      args: readonly string[],
      env: Record<string, string>,
    ): Promise<readonly string[]> => {
      const daemon = hearth.run([...serve, ...args], { home, env });
      (await daemon.ready()).destroy();
      await daemon.stop();
      const files = everyFile(home.root).map(({ file }) => path.relative(home.root, file));
      const logs = files.filter((file) => file.endsWith('hearth.ndjson'));
      for (const log of logs) fs.rmSync(path.join(home.root, log));
      return logs;
    };
    const flag = path.join(home.root, 'flag');
    const variable = path.join(home.root, 'variable');
    expect(await where(['--log-dir', flag], { HEARTH_LOG_DIR: variable })).toEqual(['flag/hearth.ndjson']);
    expect(await where([], { HEARTH_LOG_DIR: variable })).toEqual(['variable/hearth.ndjson']);
    expect(await where([], { HEARTH_LOG_DIR: '' })).toEqual(['home/.hearth/logs/hearth.ndjson']);
  });
});

/** Writes a log file into which no further record fits. */
function fillToTheCap(file: string, round: number): void {
  const head = `${JSON.stringify({ t: '2024-01-01T00:00:00Z', level: 'info', component: 'test', msg: 'full', round })}\n`;
  const filler = `${JSON.stringify({ t: '2024-01-01T00:00:00Z', level: 'info', component: 'test', msg: 'x'.repeat(8192) })}\n`;
  const count = Math.floor((cap - head.length) / filler.length);
  const last = cap - head.length - count * filler.length;
  const tail = last === 0 ? '' : `${' '.repeat(last - 1)}\n`;
  fs.writeFileSync(file, head + filler.repeat(count) + tail);
}

function firstLine(file: string): LogRecord {
  const line = fs.readFileSync(file, 'utf8').split('\n', 1)[0] ?? '';
  return JSON.parse(line) as LogRecord;
}
