import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Journal, type JournalRecovery } from './journal.js';

let directory: string;
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'hjournal-'));
});
afterEach(() => {
  fs.rmSync(directory, { recursive: true, force: true });
});

async function open(maxBytes = 1_048_576): Promise<{ journal: Journal; recovery: JournalRecovery }> {
  return Journal.open({ path: path.join(directory, 'j'), channel: 'a/b', maxBytes, now: () => 1 });
}

const live = (): string => path.join(directory, 'j.journal');

function message(value: unknown): { readonly json: string; readonly bytes: number } {
  const json = JSON.stringify(value);
  return { json, bytes: Buffer.byteLength(json) };
}

describe('a journal', () => {
  it('gives back what it was given, in memory and from the disk, in order', async () => {
    const { journal } = await open();
    const bodies = Array.from({ length: 300 }, (_, n) => ({ n, text: 'ü\n"' }));
    await Promise.all(bodies.map(async (body, n) => journal.append(message(body), String(n))));
    expect(journal.next).toBe(301);
    // The last 256 are in memory.
    expect(journal.recent(1, 5)).toBeUndefined();
    expect(journal.recent(300, 5)).toMatchObject([{ position: 300, json: JSON.stringify(bodies[299]) }]);
    const read = await journal.read(1, 400);
    expect(read.map(({ json }) => JSON.parse(json) as unknown)).toEqual(bodies);
    expect(await journal.read(301, 10)).toEqual([]);
    await journal.close();
    const again = await open();
    expect(again.recovery).toMatchObject({ cutBytes: 0 });
    expect(again.recovery.messages).toHaveLength(300);
    await again.journal.close();
  });

  it('keeps to its bound: the oldest are dropped, positions go on', async () => {
    const maxBytes = 65_536;
    const { journal } = await open(maxBytes);
    const count = 200;
    for (let n = 1; n <= count; n += 1) await journal.append(message('x'.repeat(1000)), String(n));
    expect(journal.next).toBe(count + 1);
    expect(journal.oldest).toBeGreaterThan(100);
    const bytes = fs
      .readdirSync(directory)
      .reduce((sum, name) => sum + fs.statSync(path.join(directory, name)).size, 0);
    expect(bytes).toBeLessThanOrEqual(maxBytes + 1100);
    const kept = await journal.read(journal.oldest, 1);
    expect(kept).toMatchObject([{ position: journal.oldest }]);
    expect(await journal.read(1, 1)).toEqual([]);
    const { oldest } = journal;
    await journal.close();
    const again = await open(maxBytes);
    expect(again.journal.oldest).toBe(oldest);
    expect(again.journal.next).toBe(count + 1);
    await again.journal.close();
  });

  it('wherever a crash cuts the file, what is left is a beginning of what was written', async () => {
    const { journal } = await open();
    for (let n = 1; n <= 6; n += 1) await journal.append(message({ n }), String(n));
    await journal.close();
    const whole = fs.readFileSync(live());
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length), async (length) => {
        fs.writeFileSync(live(), whole.subarray(0, length));
        const { journal: cut, recovery } = await open();
        const numbers = recovery.messages.map(({ body }) => (body as { n: number }).n);
        expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, index) => index + 1));
        // It goes on from there.
        const next = await cut.append(message('next'), 'next');
        expect(next.position).toBe(numbers.length + 1);
        await cut.close();
        const { journal: after, recovery: second } = await open();
        expect(second.messages).toHaveLength(numbers.length + 1);
        expect(second.cutBytes).toBe(0);
        await after.close();
      }),
      { numRuns: 60 },
    );
  });

  it('the journal of another channel is not taken for its own', async () => {
    await (await open()).journal.close();
    const other = Journal.open({
      path: path.join(directory, 'j'),
      channel: 'c/d',
      maxBytes: 65_536,
      now: () => 1,
    });
    await expect(other).rejects.toMatchObject({ kind: 'state_directory' });
  });
});
