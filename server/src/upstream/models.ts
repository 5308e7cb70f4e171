import * as z from 'zod';
import { askSmall, jsonOf } from './read-answer.js';
import type { Upstream } from './upstream.js';
import { UpstreamError } from './upstream-error.js';

/** One entry of an OpenAI list of models. What else it holds is kept. */
export type ModelEntry = { readonly id: string } & Readonly<Record<string, unknown>>;

/** What a server answered when it was asked for its models. */
export type ModelsAnswer =
  | { readonly kind: 'models'; readonly models: readonly ModelEntry[] }
  /** It speaks HTTP, and has no such list. */
  | { readonly kind: 'no_list' }
  | { readonly kind: 'not_ready'; readonly status: number }
  | { readonly kind: 'unreachable'; readonly error: UpstreamError };

const listSchema = z.object({ data: z.array(z.looseObject({ id: z.string().min(1).max(256) })).max(1024) });

export interface AskModelsOptions {
  /** Milliseconds for each of the two questions. */
  readonly within: number;
  /** Name and value by turns. */
  readonly headers?: readonly string[];
  readonly signal?: AbortSignal;
  /** What stands before `/v1` in the path. @default "" */
  readonly prefix?: string;
}

/** Asks `/v1/models`, and `/models` where there is none (row 122). Never rejects. */
export async function askModels(
  upstream: Upstream,
  origin: string,
  options: AskModelsOptions,
): Promise<ModelsAnswer> {
  const { prefix = '' } = options;
  const first = await askList(upstream, origin, `${prefix}/v1/models`, options);
  if (first.kind !== 'no_list') return first;
  const second = await askList(upstream, origin, `${prefix}/models`, options);
  return second.kind === 'models' ? second : first;
}

async function askList(
  upstream: Upstream,
  origin: string,
  path: string,
  { within, headers = [], signal }: AskModelsOptions,
): Promise<ModelsAnswer> {
  try {
    const { status, text } = await askSmall(
      upstream,
      { method: 'GET', origin, path, headers, signal },
      within,
    );
    if (status === 404 || status === 405 || status === 501) return { kind: 'no_list' };
    if (status < 200 || status > 299) return { kind: 'not_ready', status };
    const parsed = listSchema.safeParse(jsonOf(text));
    return parsed.success ? { kind: 'models', models: parsed.data.data } : { kind: 'no_list' };
  } catch (error) {
    return {
      kind: 'unreachable',
      error: error instanceof UpstreamError ? error : new UpstreamError('broken'),
    };
  }
}
