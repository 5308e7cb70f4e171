import { askSmall } from './read-answer.js';
import type { Upstream } from './upstream.js';
import { upstreamErrorOf, type UpstreamFailure } from './upstream-error.js';

/** What a probe of a service found. */
export type ProbeResult =
  | { readonly kind: 'healthy'; readonly ms: number }
  | { readonly kind: 'failing'; readonly status: number }
  | { readonly kind: 'unreachable'; readonly failure: UpstreamFailure };

/**
 * Asks the service itself for `/health`, not whoever looks after it (traps 13, 14). A service without such a path is
 * healthy too where it answers at all; one that says by 5xx that it cannot serve is not.
 *
 * @param within Milliseconds. @default 5000
 */
export async function probe(
  upstream: Upstream,
  url: string,
  options: { readonly within?: number; readonly signal?: AbortSignal } = {},
): Promise<ProbeResult> {
  const { origin, pathname } = new URL(url);
  const since = performance.now();
  try {
    const { status } = await askSmall(
      upstream,
      {
        method: 'GET',
        origin,
        path: `${pathname.replace(/\/+$/, '')}/health`,
        headers: [],
        signal: options.signal,
      },
      options.within ?? 5000,
    );
    if (status >= 500) return { kind: 'failing', status };
    return { kind: 'healthy', ms: performance.now() - since };
  } catch (error) {
    return { kind: 'unreachable', failure: upstreamErrorOf(error).kind };
  }
}
