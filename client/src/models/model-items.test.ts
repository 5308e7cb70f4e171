import type { CatalogueModel, ModelEntry } from '@hearth/protocol';
import { expect, it } from 'vitest';
import { catalogueItems, storeItems } from './model-items.js';

const candidate = (name: string, changes: Partial<CatalogueModel> = {}): CatalogueModel => ({
  name,
  displayName: name.toUpperCase(),
  kind: 'chat',
  approximateBytes: 1.6e9,
  parameters: 1,
  quantization: 'Q8_0',
  license: 'MIT',
  note: 'Good.',
  memoryBytes: 2e9,
  fits: true,
  stored: false,
  ...changes,
});

it('what fits comes first, then what does not, then what is there', () => {
  const items = catalogueItems(
    [candidate('a', { stored: true }), candidate('b', { fits: false }), candidate('c')],
    1e9,
  );
  expect(items.map(({ value }) => value)).toEqual(['c', 'b', 'a']);
  expect(items.map(({ description }) => description)).toEqual([
    'chat · 1.6 GB to fetch · 2.0 GB of memory · fits',
    'chat · 1.6 GB to fetch · 2.0 GB of memory · does not fit: 1.0 GB free',
    'chat · 1.6 GB to fetch · 2.0 GB of memory · there already',
  ]);
});

it('models that write can be switched to, the chosen one first', () => {
  const entry = (name: string, changes: Partial<ModelEntry> = {}): ModelEntry => ({
    name,
    displayName: name,
    sizeBytes: 5e6,
    state: 'absent',
    chosen: false,
    stored: true,
    purpose: 'generate',
    chatTemplate: true,
    infill: false,
    ...changes,
  });
  const items = storeItems([
    entry('a'),
    entry('b', { purpose: 'embed' }),
    entry('c', { chosen: true, state: 'ready' }),
  ]);
  expect(items).toMatchObject([
    { label: '$(check) c', description: 'c · 5 MB · loaded', detail: 'For chat.' },
    { label: '$(circle-outline) a' },
  ]);
});
