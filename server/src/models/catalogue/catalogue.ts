import { promises as fs } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { findUpwards } from '../find-upwards.js';
import { isModelName } from '../store/model-name.js';

/** Models worth having, chosen by hand: `server/models/catalogue.json`. Nothing of it is fetched unasked. */

const entrySchema = z.object({
  /** What `hearth pull` takes, and the name in the store. */
  name: z.string().refine(isModelName),
  displayName: z.string(),
  /** `fim`: ghost text. */
  kind: z.enum(['fim', 'chat', 'embed', 'rerank']),
  source: z.string().startsWith('hf:'),
  approximateBytes: z.int().positive(),
  parameters: z.int().positive(),
  quantization: z.string(),
  contextLength: z.int().positive(),
  /** Memory that each token of context takes; 0: none is kept. */
  keyValueBytesPerToken: z.int().min(0),
  /** Share of the weights that work on one token: below 1 where the model is a mixture of experts. */
  activeShare: z.number().positive().max(1),
  license: z.string(),
  /** Whether the licence lets it be used at work. */
  commercialUse: z.boolean().default(true),
  /** Null: nobody has verified one. */
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/u)
    .nullable(),
  note: z.string(),
});
const catalogueSchema = z.object({ comment: z.string(), models: z.array(entrySchema).max(256) });

export type CatalogueEntry = z.infer<typeof entrySchema>;

/**
 * The catalogue that is shipped with this copy; empty where it is missing.
 *
 * @param from where the search for it begins, a `file:` URL. Default: this module.
 */
export async function readCatalogue(from: string = import.meta.url): Promise<readonly CatalogueEntry[]> {
  const file = findUpwards(from, [
    path.join('server', 'models', 'catalogue.json'),
    path.join('models', 'catalogue.json'),
  ]);
  if (file === undefined) return [];
  return catalogueSchema.parse(JSON.parse(await fs.readFile(file, 'utf8'))).models;
}
