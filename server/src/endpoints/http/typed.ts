import { describeIssues, HearthError, typedRequestSchema } from '@hearth/protocol';
import type { TypedResult } from '../../daemon-api.js';
import type { Exchange } from './exchange.js';

type Fields = Readonly<Record<string, unknown>>;
type Result<Kind extends TypedResult['kind']> = Extract<TypedResult, { kind: Kind }>;

/**
 * Questions that have one answer: vectors, a ranking, tokens, a text. Fields that are undefined are left out.
 *
 * @throws HearthError as `answerTyped` does, and `invalid_request` for what the protocol would not take.
 */
async function ask<Kind extends TypedResult['kind']>(
  { daemon, caller, signal }: Exchange,
  kind: Kind,
  fields: Fields,
): Promise<Result<Kind>> {
  const present = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
  const parsed = typedRequestSchema.safeParse(present);
  if (!parsed.success) throw new HearthError('invalid_request', describeIssues(parsed.error));
  const result = await daemon.answerTyped(parsed.data, caller, signal);
  if (isKind(result, kind)) return result;
  throw new HearthError('internal', 'The answer is of another kind than the question.');
}

export async function embed(exchange: Exchange, fields: Fields): Promise<Result<'embeddings'>> {
  return ask(exchange, 'embeddings', { type: 'embed', ...fields });
}

export async function rerank(exchange: Exchange, fields: Fields): Promise<Result<'ranking'>> {
  return ask(exchange, 'ranking', { type: 'rerank', ...fields });
}

export async function tokenize(exchange: Exchange, fields: Fields): Promise<Result<'tokens'>> {
  return ask(exchange, 'tokens', { type: 'tokenize', ...fields });
}

export async function detokenize(exchange: Exchange, fields: Fields): Promise<Result<'text'>> {
  return ask(exchange, 'text', { type: 'detokenize', ...fields });
}

function isKind<Kind extends TypedResult['kind']>(result: TypedResult, kind: Kind): result is Result<Kind> {
  return result.kind === kind;
}
