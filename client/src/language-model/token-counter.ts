/** Counts the tokens of one text. */
export type CountTokens = (text: string) => Promise<number>;

/** Bounds of {@link tokenCounter}. */
export interface TokenCounterBounds {
  /** Most texts in one request. @default 256 */
  readonly batch: number;
  /** Most counts remembered. @default 512 */
  readonly remembered: number;
  /** Longest text that is remembered, in UTF-16 units. @default 20000 */
  readonly rememberedLength: number;
}

/** A counter that can forget, for when the model changes. */
export interface TokenCounter {
  readonly count: CountTokens;
  readonly forget: () => void;
}

interface Waiting {
  readonly text: string;
  readonly resolve: (count: number) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * Whoever builds a prompt asks for many counts at once. Those of one tick travel together, and the latest are
 * remembered.
 *
 * @param ask Counts many texts in one request.
 */
export function tokenCounter(
  ask: (texts: readonly string[]) => Promise<readonly number[]>,
  bounds: TokenCounterBounds = { batch: 256, remembered: 512, rememberedLength: 20_000 },
): TokenCounter {
  /** Least recently used first. */
  const known = new Map<string, number>();
  let waiting: Waiting[] = [];

  const remember = (text: string, count: number): void => {
    if (text.length > bounds.rememberedLength) return;
    known.delete(text);
    known.set(text, count);
    const oldest = known.size > bounds.remembered ? known.keys().next() : undefined;
    if (oldest?.done === false) known.delete(oldest.value);
  };
  const send = async (batch: readonly Waiting[]): Promise<void> => {
    try {
      const counts = await ask(batch.map(({ text }) => text));
      batch.forEach(({ text, resolve, reject }, index) => {
        const count = counts[index];
        if (count === undefined) {
          reject(new Error('The sidecar counted too few texts.'));
          return;
        }
        remember(text, count);
        resolve(count);
      });
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  };
  const flush = (): void => {
    const all = waiting;
    waiting = [];
    for (let from = 0; from < all.length; from += bounds.batch)
      void send(all.slice(from, from + bounds.batch));
  };

  return {
    count: (text) => {
      if (text === '') return Promise.resolve(0);
      const count = known.get(text);
      if (count !== undefined) {
        remember(text, count);
        return Promise.resolve(count);
      }
      return new Promise((resolve, reject) => {
        waiting.push({ text, resolve, reject });
        if (waiting.length === 1) setImmediate(flush);
      });
    },
    forget: () => known.clear(),
  };
}

/** Counters, one a model. */
export interface ModelCounters {
  readonly of: (model: CountedModel) => TokenCounter;
  /** For when models have come or gone. */
  readonly forget: () => void;
}

export interface CountedModel {
  readonly model: string;
  readonly abilities: { readonly tokenize: boolean };
}

/** Characters of a token in a language that tokenizers know well; fewer elsewhere, so that no prompt is too long. */
const charactersPerToken = 3;

/** Counters that are made as they are needed. Where the model counts none, its tokens are estimated. */
export function modelCounters(
  ask: (texts: readonly string[], model: string) => Promise<readonly number[]>,
): ModelCounters {
  const counters = new Map<string, TokenCounter>();
  return {
    of: ({ model, abilities }) => {
      if (!abilities.tokenize) return estimating;
      const known = counters.get(model) ?? tokenCounter((texts) => ask(texts, model));
      counters.set(model, known);
      return known;
    },
    forget: () => counters.clear(),
  };
}

const estimating: TokenCounter = {
  count: (text) => Promise.resolve(Math.ceil(text.length / charactersPerToken)),
  forget: () => undefined,
};
