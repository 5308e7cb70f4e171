import type { CatalogueModel, ModelEntry } from '@hearth/protocol';

/** A line of a list that one picks from. */
export interface ModelItem {
  readonly label: string;
  readonly description: string;
  readonly detail: string;
  /** What the sidecar is to be asked for. */
  readonly value: string;
}

const uses = { fim: 'ghost text', chat: 'chat', embed: 'embeddings', rerank: 'reranking' } as const;

/** What could be fetched: what fits and is not there yet first, in the catalogue's order. */
export function catalogueItems(
  catalogue: readonly CatalogueModel[],
  freeBytes: number,
): readonly ModelItem[] {
  const weight = ({ fits, stored }: CatalogueModel): number => (stored ? 2 : fits ? 0 : 1);
  return catalogue
    .toSorted((one, other) => weight(one) - weight(other))
    .map((model) => {
      const state = model.stored
        ? 'there already'
        : model.fits
          ? 'fits'
          : `does not fit: ${showBytes(freeBytes)} free`;
      return {
        label: `${model.stored ? '$(check)' : model.fits ? '$(cloud-download)' : '$(circle-slash)'} ${model.displayName}`,
        description: `${uses[model.kind]} · ${showBytes(model.approximateBytes)} to fetch · ${showBytes(model.memoryBytes)} of memory · ${state}`,
        detail: `${model.note} Licence: ${model.license}.`,
        value: model.name,
      };
    });
}

/** What can be switched to: models that write, the chosen one first. */
export function storeItems(models: readonly ModelEntry[]): readonly ModelItem[] {
  return models
    .filter(({ purpose }) => purpose === 'generate')
    .toSorted((one, other) => Number(other.chosen) - Number(one.chosen))
    .map((model) => ({
      label: `${model.chosen ? '$(check)' : '$(circle-outline)'} ${model.displayName}`,
      description: [
        model.name,
        showBytes(model.sizeBytes),
        ...(model.quantization === undefined ? [] : [model.quantization]),
        ...(model.state === 'ready' ? ['loaded'] : []),
      ].join(' · '),
      detail: `For ${[...(model.chatTemplate ? ['chat'] : []), ...(model.infill ? ['ghost text'] : [])].join(' and ') || 'plain completion'}.`,
      value: model.name,
    }));
}

/** Such as `1.6 GB`. */
export function showBytes(bytes: number): string {
  return bytes >= 1e9
    ? `${(bytes / 1e9).toFixed(1)} GB`
    : `${String(Math.max(1, Math.round(bytes / 1e6)))} MB`;
}
