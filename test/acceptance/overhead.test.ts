import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const bench = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../bench/run.mjs');

test('row 176: what the daemon adds is measured against the direct way, with p50, p99, n and the machine', async () => {
  const child = spawn(process.execPath, [bench, 'core', '--only', 'overhead', '--rounds', '1'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  for await (const piece of child.stdout.setEncoding('utf8')) text += String(piece);
  const [machine = '', ...lines] = text.trim().split('\n');
  expect(machine).toMatch(/^\d+ × .+ Node v\d+/u);
  for (const what of ['whole answer', 'first token', 'per token']) {
    const line = lines.find((one) => one.startsWith(`hearth ndjson: added to ${what}`));
    expect(line).toMatch(/ n \d+ +p50 -?\d+\.\d+ +p99 -?\d+\.\d+ (?:ms|µs)$/u);
  }
});
