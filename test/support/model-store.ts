import { createHash } from 'node:crypto';
import { promises as fs } from 'node:fs';
import path from 'node:path';
import { ModelStore } from '../../server/src/models/store/model-store.js';
import type { Home } from './daemon.js';
import { makeTinyGguf, type TinyGgufOptions } from './tiny-gguf.js';

export { ModelServer } from '../../server/src/models/testing/model-server.js';

/** The store of a test's home, where its `hearth` finds it by itself. */
export function storeOf(home: Home): ModelStore {
  return new ModelStore(path.join(home.home, '.hearth', 'models'));
}

/** Puts a tiny model into the store, as a pull would have. */
export async function addModel(
  store: ModelStore,
  name: string,
  options: TinyGgufOptions = {},
): Promise<void> {
  const bytes = makeTinyGguf({
    seed: Array.from(name).reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7) % 100_000,
    ...options,
  });
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const file = path.join(await store.ensure('partial'), name);
  await fs.writeFile(file, bytes);
  await store.adopt(file, sha256);
  await store.write({
    schema: 1,
    name,
    displayName: `Tiny ${name}`,
    file: { kind: 'blob', sha256 },
    sizeBytes: bytes.length,
    source: { kind: 'import', from: 'file' },
    purpose: 'generate',
    chatTemplate: true,
    infill: true,
    addedAt: '2026-01-01T00:00:00.000Z',
  });
}
export { writeSyntheticModel } from '../../server/src/models/synthetic/synthetic-model.js';
