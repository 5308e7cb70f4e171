import { type CatalogueEntry, readCatalogue } from '../catalogue/catalogue.js';
import { PullError } from './pull-error.js';
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
  const catalogue = await readCatalogue();
  const entry = catalogue.find(({ name }) => name === text);
  if (entry === undefined) refuseNearlyNamed(text, catalogue);
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

/** Whoever leaves out the end of a name is told the names that begin so. @throws PullError */
function refuseNearlyNamed(text: string, catalogue: readonly CatalogueEntry[]): void {
  const wanted = text.toLowerCase();
  if (wanted.length < 3 || /[:/]/u.test(wanted)) return;
  const near = catalogue.filter(({ name }) => name.includes(wanted)).map(({ name }) => name);
  if (near.length === 0) return;
  throw new PullError(
    'bad_source',
    `The catalogue has no model of just that name. There ${near.length === 1 ? 'is' : 'are'} ${near.join(', ')}.`,
  );
}
