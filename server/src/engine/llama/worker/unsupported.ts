import type { ChatInput, ResolvedGeneration, Sampling } from '@hearth/protocol';
import { RequestError } from './request-error.js';

/** A part of sampling that not every driver has, by its name on the wire. */
export type SamplingPart =
  | 'typical_p'
  | 'repeat_penalty'
  | 'presence_penalty'
  | 'frequency_penalty'
  | 'dry_multiplier'
  | 'xtc_probability'
  | 'mirostat'
  | 'logit_bias'
  | 'logprobs';

/**
 * Refuses what the engine cannot do: a field that is ignored would be a lie.
 *
 * @param can What of sampling the driver can.
 * @throws RequestError `unsupported` that names the fields.
 */
export function refuseUnsupported(
  { input, sampling }: ResolvedGeneration,
  can: readonly SamplingPart[],
): void {
  const fields = [
    ...usedParts(sampling).filter((part) => !can.includes(part)),
    ...(input.kind === 'chat' ? unsupportedChat(input) : []),
  ];
  if (fields.length === 0) return;
  throw new RequestError('unsupported', `This engine cannot do ${fields.join(', ')}. Leave it out.`);
}

function usedParts(sampling: Sampling): readonly SamplingPart[] {
  const { penalties } = sampling;
  const rules: readonly (readonly [boolean, SamplingPart])[] = [
    [sampling.typicalP !== 1, 'typical_p'],
    [penalties.repeat !== 1, 'repeat_penalty'],
    [penalties.presence !== 0, 'presence_penalty'],
    [penalties.frequency !== 0, 'frequency_penalty'],
    [sampling.dry !== undefined, 'dry_multiplier'],
    [sampling.xtc !== undefined, 'xtc_probability'],
    [sampling.mirostat !== undefined, 'mirostat'],
    [sampling.logitBias.length > 0, 'logit_bias'],
    [sampling.logprobs !== undefined, 'logprobs'],
  ];
  return rules.flatMap(([used, name]) => (used ? [name] : []));
}

function unsupportedChat(input: ChatInput): readonly string[] {
  const rules: readonly (readonly [boolean, string])[] = [
    [input.messages.some(({ content }) => content.some(({ kind }) => kind === 'media')), 'attachments'],
  ];
  return rules.flatMap(([used, name]) => (used ? [name] : []));
}
