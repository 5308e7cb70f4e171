import { HearthError, typedRequestSchema, describeIssues } from '@hearth/protocol';
import type { TypedResult } from '../../daemon-api.js';
import type { Exchange } from './exchange.js';

/**
 * Questions that have one answer: vectors, a ranking, tokens, a text. Fields that are undefined are left out.
 *
 * @throws HearthError as `answerTyped` does, and `invalid_request` for what the protocol would not take.
 */
async function ask<Kind extends TypedResult['kind']>(
  { daemon, caller, signal }: Exchange,
  kind: Kind,
  fields: Readonly<Record<string, unknown>>,
): Promise<Extract<TypedResult, { kind: Kind }>> {
  const present = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
  const parsed = typedRequestSchema.safeParse(present);
  if (!parsed.success) throw new HearthError('invalid_request', describeIssues(parsed.error));
  const result = await daemon.answerTyped(parsed.data, caller, signal);
  if (isKind(result, kind)) return result;
  throw new HearthError('internal', 'The answer is of another kind than the question.');
}

export async function embed(exchange: Exchange, fields: Readonly<Record<string, unknown>>) {
  return ask(exchange, 'embeddings', { type: 'embed', ...fields });
}

export async function rerank(exchange: Exchange, fields: Readonly<Record<string, unknown>>) {
  return ask(exchange, 'ranking', { type: 'rerank', ...fields });
}

export async function tokenize(exchange: Exchange, fields: Readonly<Record<string, unknown>>) {
  return ask(exchange, 'tokens', { type: 'tokenize', ...fields });
}

export async function detokenize(exchange: Exchange, fields: Readonly<Record<string, unknown>>) {
  return ask(exchange, 'text', { type: 'detokenize', ...fields });
}

function isKind<Kind extends TypedResult['kind']>(
  result: TypedResult,
  kind: Kind,
): result is Extract<TypedResult, { kind: Kind }> {
  return result.kind === kind;
}
