import type { CatalogueEntry } from '../models/catalogue/catalogue.js';

/** Time in which a model is not offered again, in milliseconds. */
const quietMs = 600_000;
/** Time that a person has to answer, in milliseconds. */
export const offerTimeoutMs = 300_000;

/** What {@link DownloadOffers} asks and does. */
export interface OfferParts {
  /** Asks a client whether this may be fetched. Rejects where nobody answers such questions, or not in time. */
  readonly ask: (model: string, bytes: number) => Promise<boolean>;
  readonly pull: (model: string) => void;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/**
 * Asks somebody who is connected, such as an editor, whether a model of the catalogue may be fetched that a request
 * named and that is not there. The request itself does not wait for it. Each model is offered once in ten minutes.
 */
export class DownloadOffers {
  readonly #parts: OfferParts;
  /** When each was offered last. No larger than the catalogue. */
  readonly #offered = new Map<string, number>();

  constructor(parts: OfferParts) {
    this.#parts = parts;
  }

  offer({ name, approximateBytes }: CatalogueEntry): void {
    const { ask, pull, now } = this.#parts;
    const before = this.#offered.get(name);
    if (before !== undefined && now() - before < quietMs) return;
    this.#offered.set(name, now());
    ask(name, approximateBytes).then(
      (approved) => {
        if (approved) pull(name);
      },
      () => {
        // Nobody was there to be asked: whoever comes next may be.
        this.#offered.delete(name);
      },
    );
  }
}
