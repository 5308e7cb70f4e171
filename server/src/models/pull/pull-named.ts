import { readCatalogue } from '../catalogue/catalogue.js';
import { type PullOptions, pullModel, type Pulled } from './pull-model.js';
import { parsePullSource } from './pull-source.js';

/** {@link PullOptions}, with the source still to be found. */
export interface PullNamedOptions extends Omit<PullOptions, 'source' | 'displayName'> {
  /** Where `hf:` names lead. */
  readonly huggingFace: string;
}

/**
 * Pulls what `text` means: a model of the catalogue by its name, `hf:owner/repository/file.gguf`, or an address.
 *
 * @throws what {@link pullModel} does
 */
export async function pullNamed(text: string, options: PullNamedOptions): Promise<Pulled> {
  const { huggingFace, ...rest } = options;
  const entry = (await readCatalogue()).find(({ name }) => name === text);
  if (entry === undefined) return pullModel({ ...rest, source: parsePullSource(text, huggingFace) });
  const { sha256 } = entry;
  return pullModel({
    ...rest,
    source: parsePullSource(entry.source, huggingFace),
    name: options.name ?? entry.name,
    displayName: entry.displayName,
    expected: options.expected ?? (sha256 === null ? undefined : { sha256, by: 'catalogue' }),
  });
}
