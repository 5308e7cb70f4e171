import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { readGgufFileInfo } from 'node-llama-cpp';
import { afterAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { missingPython } from './python.js';

/** The whole pipeline, as `npm run pilot -- all --shortened` runs it; the training needs PyTorch, which npm cannot bring. */

const work = mkdtempSync(path.join(tmpdir(), 'hearth-pilot-test-'));
const missing = await missingPython();
const minutes = 60_000;

afterAll(() => rmSync(work, { recursive: true, force: true }));

/** Exit code and all that a step said. */
function pilot(...args: readonly string[]): Promise<{ readonly code: number | null; readonly said: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['server/pilot/run.mjs', ...args, '--shortened', '--work', work]);
    let said = '';
    child.stdout.on('data', (data: Buffer) => (said += data.toString()));
    child.stderr.on('data', (data: Buffer) => (said += data.toString()));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, said }));
  });
}

const evaluationSchema = z.object({
  bitsPerByte: z.record(z.string(), z.object({ bytes: z.number(), bits: z.number() })),
  places: z.array(z.object({ kind: z.string(), text: z.string(), meanLogprob: z.number() })),
  thresholds: z.array(z.number()),
});
const evaluation = (): z.infer<typeof evaluationSchema> =>
  evaluationSchema.parse(
    JSON.parse(readFileSync(path.join(work, 'evaluation-hearth-pilot-q8_0.json'), 'utf8')),
  );
const endingSchema = z.object({ step: z.number(), ts: z.number() });
const model = path.join(work, 'hearth-pilot-q8_0.gguf');

describe(`the pilot's pipeline, shortened (${missing.length === 0 ? 'whole' : `without ${missing.join(', ')}`})`, () => {
  if (missing.length > 0) {
    test('writes the corpus and says what the training needs', { timeout: 5 * minutes }, async () => {
      const { code, said } = await pilot('all');
      expect(said).toContain(`Python lacks ${missing.join(', ')}`);
      expect(said).toContain('apt-get install');
      expect(code).toBe(1);
      expect(readFileSync(path.join(work, 'CORPUS.md'), 'utf8')).toContain('eventsource-parser');
    });
    return;
  }

  test('makes a model file that knows more than before', { timeout: 10 * minutes }, async () => {
    const { code, said } = await pilot('all');
    expect(said, 'the training').toContain('"step": 20');
    expect(code, said).toBe(0);
    const atFirst = endingSchema.parse(JSON.parse(/\{"step": 0,.*\}/.exec(said)?.[0] ?? '{}'));
    const ending = endingSchema.parse(JSON.parse(readFileSync(path.join(work, 'run/ending.json'), 'utf8')));
    expect(ending.ts).toBeLessThan(atFirst.ts);
    const { metadata } = await readGgufFileInfo(model);
    expect(metadata).toMatchObject({ general: { architecture: 'llama', name: 'Hearth Pilot' } });
    expect(evaluation().places).toHaveLength(14);
  });

  test('the file evaluates to the same figures again', { timeout: 10 * minutes }, async () => {
    const before = evaluation();
    const { code, said } = await pilot('evaluate');
    expect(code, said).toBe(0);
    expect(evaluation()).toEqual(before);
    expect(before.bitsPerByte['ts']?.bits).toBeGreaterThan(1);
  });
});
