import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { hearthScope, type Home } from '../support/daemon.js';
import { askOnce, say } from '../support/raw-client.js';
import { makeTinyGguf } from '../support/tiny-gguf.js';

/** Rows 86 and 87 over a real daemon and a real worker. */

const hearth = hearthScope('test');
const tiny = makeTinyGguf();
const sha256 = createHash('sha256').update(tiny).digest('hex');

function modelIn(home: Home): string {
  const file = path.join(home.root, 'model.gguf');
  fs.writeFileSync(file, tiny, { mode: 0o600 });
  return file;
}

describe('a model with a checksum', () => {
  test('row 86: one that is right is served', async () => {
    const home = hearth.makeHome();
    await hearth.serve({
      plain: true,
      home,
      args: ['--model', modelIn(home), '--model-sha256', sha256.toUpperCase()],
    });
    const frames = await askOnce(home.inferenceSocket, say('x', { max_tokens: 2 }));
    expect(frames.at(-1)).toMatchObject({ type: 'done', usage: { completion_tokens: 2 } });
  });

  test('row 86: one that is wrong is set aside, told with both hashes, and never loaded', async () => {
    const home = hearth.makeHome();
    const file = modelIn(home);
    const expected = 'ab'.repeat(32);
    const daemon = hearth.spawnServe({
      plain: true,
      home,
      args: ['--model', file, '--model-sha256', expected],
    });
    const admin = await daemon.admin();
    const frames = await admin.untilEnd();
    expect((await daemon.end()).code).not.toBe(0);

    const quarantined = fs.readdirSync(home.root).filter((name) => name.startsWith('model.gguf'));
    expect(quarantined).toEqual([expect.stringMatching(/^model\.gguf\.quarantine\.\d{8}T\d{9}Z$/u)]);
    expect(frames).toContainEqual({
      id: 'admin',
      type: 'status',
      status: 'loading_model',
      phase: 'quarantine',
      path: file,
      expected_sha256: expected,
      actual_sha256: sha256,
      quarantine_path: path.join(home.root, quarantined[0] ?? ''),
    });
    const [event, ...more] = home.log.matching({ msg: 'model_quarantined' });
    expect(event).toMatchObject({ expected_sha256: expected, actual_sha256: sha256, moved: true });
    expect(more).toEqual([]);
    expect(home.log.text()).not.toContain(home.root);
    expect(daemon.stderr).toContain('not the one that its checksum speaks of');
  });

  test.runIf(process.platform === 'linux')(
    'row 87: bytes that others may write to are copied privately, and the copy is what the worker has open',
    async () => {
      const home = hearth.makeHome();
      const file = modelIn(home);
      fs.chmodSync(file, 0o666);
      const daemon = await hearth.serve({
        plain: true,
        home,
        args: ['--model', file, '--model-sha256', sha256],
      });
      const [worker = ''] = fs
        .readFileSync(`/proc/${daemon.pid}/task/${daemon.pid}/children`, 'utf8')
        .trim()
        .split(' ');
      const mapped = fs.readFileSync(`/proc/${worker}/maps`, 'utf8');
      expect(mapped).not.toContain(file);
      expect(mapped).toMatch(/\.hearth\/models\/private\/[\w-]+\.gguf \(deleted\)/u);
      expect(fs.readdirSync(path.join(home.home, '.hearth/models/private'))).toEqual([]);
    },
  );
});
