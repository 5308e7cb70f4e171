import * as z from 'zod';
import type { GgufFacts } from '../gguf-facts.js';
import { mostParts } from '../split/split-name.js';
import { isModelName } from './model-name.js';

/** What the store says of one model: a small JSON file, `manifests/<name>.json`. */

const sha256 = z.string().regex(/^[0-9a-f]{64}$/u);
const count = z.int().min(0);

export const manifestSchema = z.object({
  schema: z.literal(1),
  name: z.string().refine(isModelName),
  displayName: z.string().max(200),
  /** Where its bytes are: in the store, by their hash, or where another program keeps them. */
  file: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('blob'), sha256 }),
    z.object({
      kind: z.literal('parts'),
      /** Of a model in several files, in order. */
      parts: z
        .array(z.object({ sha256, sizeBytes: count }))
        .min(2)
        .max(mostParts),
    }),
    z.object({ kind: z.literal('external'), path: z.string().max(4096), sha256: sha256.optional() }),
  ]),
  sizeBytes: count,
  /** Where it came from. A URL has neither query nor user in it. */
  source: z.discriminatedUnion('kind', [
    z.object({
      kind: z.literal('download'),
      url: z.string().max(2048),
      /** Who says what the bytes are to hash to: the person, the catalogue, the server; or nobody did. */
      checkedBy: z.enum(['user', 'catalogue', 'server', 'nobody']),
    }),
    z.object({
      kind: z.literal('import'),
      from: z.enum(['ollama', 'lm-studio', 'hugging-face', 'file']),
    }),
  ]),
  architecture: z.string().max(128).optional(),
  quantization: z.string().max(32).optional(),
  parameters: count.optional(),
  contextLength: count.optional(),
  /** What it is made for. */
  purpose: z.enum(['generate', 'embed', 'rerank', 'projector']),
  chatTemplate: z.boolean(),
  infill: z.boolean(),
  addedAt: z.string().max(40),
});
export type Manifest = z.infer<typeof manifestSchema>;

/** What a manifest says of what a model can do, from its header. */
export function manifestFacts(
  facts: GgufFacts,
): Pick<
  Manifest,
  'architecture' | 'quantization' | 'parameters' | 'contextLength' | 'purpose' | 'chatTemplate' | 'infill'
> {
  const { architecture, quantization, parameters, contextLength } = facts;
  return {
    ...(architecture === undefined ? {} : { architecture: architecture.slice(0, 128) }),
    ...(quantization === undefined ? {} : { quantization }),
    ...(contextLength === undefined ? {} : { contextLength }),
    parameters,
    purpose: facts.purpose,
    chatTemplate: facts.chatTemplate,
    infill: facts.infillTokens,
  };
}

/** Hashes of the files that lie in the store for a model. */
export function blobsOf({ file }: Pick<Manifest, 'file'>): readonly string[] {
  switch (file.kind) {
    case 'blob':
      return [file.sha256];
    case 'parts':
      return file.parts.map((part) => part.sha256);
    case 'external':
      return [];
  }
}
