import * as fc from 'fast-check';
import type { ModelInfo } from '@hearth/protocol';
import { describe, expect, it } from 'vitest';
import { boundedDiff } from './commit-diff.js';
import { commitRequest, messageIn } from './commit-prompt.js';

const file = (name: string, lines: number): string =>
  [
    `diff --git a/${name} b/${name}`,
    `--- a/${name}`,
    `+++ b/${name}`,
    '@@ -1 +1 @@',
    ...Array.from({ length: lines }, (_, index) => `+${name} line ${index}`),
    '',
  ].join('\n');

const model = (contextSize: number): ModelInfo => ({
  id: 'm',
  displayName: 'Model',
  contextSize,
  sizeBytes: 1,
  infill: false,
});

describe('a diff that is too long', () => {
  it('keeps short files whole and cuts the long ones at a line, and says so', () => {
    const diff = file('short.ts', 2) + file('long.ts', 500) + file('longer.ts', 900);
    const bounded = boundedDiff(diff, 2000);
    expect(bounded.length).toBeLessThanOrEqual(2000);
    expect(bounded).toContain(file('short.ts', 2));
    for (const name of ['long.ts', 'longer.ts']) expect(bounded).toContain(`+${name} line 0`);
    expect(bounded.match(/^\[cut\]$/gm)).toHaveLength(2);
  });

  it('shows no content of files that tools write', () => {
    const bounded = boundedDiff(file('package-lock.json', 3) + file('src/a.ts', 2), 10_000);
    expect(bounded).toContain('package-lock.json');
    expect(bounded).not.toContain('package-lock.json line 0');
    expect(bounded).toContain('src/a.ts line 1');
  });

  it('names and counts the files where nothing else fits', () => {
    const diff = Array.from({ length: 300 }, (_, index) => file(`folder/file-${index}.ts`, 3)).join('');
    const bounded = boundedDiff(diff, 300);
    expect(bounded.length).toBeLessThanOrEqual(300);
    expect(bounded).toContain('folder/file-0.ts');
    expect(bounded).toMatch(/\(\d+ more files\)/);
  });

  it('never exceeds its bound', () => {
    const files = fc.array(fc.tuple(fc.nat(6), fc.nat(40)), { maxLength: 20 });
    fc.assert(
      fc.property(files, fc.integer({ min: 100, max: 5000 }), (parts, bound) => {
        const diff = parts.map(([name, lines]) => file(`f${name}.ts`, lines)).join('');
        expect(boundedDiff(diff, bound).length).toBeLessThanOrEqual(bound);
      }),
    );
  });
});

describe('the request for a commit message', () => {
  const change = { diff: file('a.ts', 3), recent: ['Add b'], hint: 'speed', format: 'free' as const };

  it('shows the change, what was written before, and what the author says', () => {
    const request = commitRequest(change, model(4096));
    const content = request?.messages.at(-1)?.content ?? '';
    for (const part of ['+a.ts line 2', '- Add b', 'The author says: speed']) expect(content).toContain(part);
    expect(request?.grammar).toBeUndefined();
  });

  it('holds the answer to the form of conventional commits where that is asked for', () => {
    expect(commitRequest({ ...change, format: 'conventional' }, model(4096))?.grammar).toContain('"feat"');
  });

  it('is none where the context has no room for any of the change', () => {
    expect(commitRequest(change, model(512))?.messages).toBeDefined();
    expect(commitRequest(change, model(480))).toBeUndefined();
  });
});

describe('the message in an answer', () => {
  it('stands without fence and quotation marks', () => {
    expect(messageIn('```\nAdd a\n\nBecause.\n```\nThat is it.')).toBe('Add a\n\nBecause.');
    expect(messageIn('"Add a"')).toBe('Add a');
    expect(messageIn('\n\nSay "yes"\n\n- one')).toBe('Say "yes"\n\n- one');
  });
});
