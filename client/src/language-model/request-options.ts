import type { GenerateRequestMessage } from '@hearth/protocol';

type Sampling = Pick<
  GenerateRequestMessage.Params['request'],
  'temperature' | 'top_p' | 'top_k' | 'min_p' | 'max_tokens' | 'seed' | 'stop'
>;

/** The sampling options that are passed on, and names of those that are not known. */
export interface RequestOptions {
  readonly sampling: Sampling;
  readonly unknown: readonly string[];
}

const numbers = ['temperature', 'top_p', 'top_k', 'min_p', 'seed'] as const;

/**
 * Reads the `modelOptions` of a chat request. They have no schema: whoever asks may give anything. What we know is
 * passed on and checked by the sidecar, which refuses wrong values; the rest is named.
 *
 * @param mostTokens The longest answer; a wish for more is cut to it.
 */
export function requestOptions(
  options: Readonly<Record<string, unknown>>,
  mostTokens: number,
): RequestOptions {
  const sampling: Sampling = { max_tokens: mostTokens };
  const unknown: string[] = [];
  for (const [name, value] of Object.entries(options)) {
    const known = numbers.find((candidate) => candidate === name);
    if (known !== undefined && typeof value === 'number') sampling[known] = value;
    else if (name === 'max_tokens' && typeof value === 'number')
      sampling.max_tokens = Math.min(value, mostTokens);
    else if (name === 'stop' && isTexts(value)) sampling.stop = typeof value === 'string' ? [value] : value;
    else unknown.push(name);
  }
  return { sampling, unknown };
}

function isTexts(value: unknown): value is string | string[] {
  return (
    typeof value === 'string' || (Array.isArray(value) && value.every((entry) => typeof entry === 'string'))
  );
}
