import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');

const proofs = [...read('SECURITY.md').matchAll(/`([^`]+\.test\.ts)`: “([^”]+)”/g)].map(
  ([, file = '', title = '']) => [file, title] as const,
);

describe('SECURITY.md names tests that exist', () => {
  test('it names some', () => {
    expect(proofs.length).toBeGreaterThan(20);
  });

  test.each(proofs)('%s: %s', (file, title) => {
    expect(read(file)).toContain(title);
  });
});
