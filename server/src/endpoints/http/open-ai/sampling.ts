import type { z } from 'zod';
import { samplingFields } from './chat-schema.js';

type SamplingBody = z.output<z.ZodObject<typeof samplingFields>>;

/** Fields that are called the same there and here. */
const same = Object.keys(samplingFields).filter(
  (name) => !['n', 'seed', 'stop', 'logit_bias'].includes(name),
) as readonly (keyof SamplingBody)[];

/** What samples, in the protocol's words. */
export function samplingOf(body: SamplingBody): Readonly<Record<string, unknown>> {
  const { seed, stop, logit_bias: bias } = body;
  const fields: Record<string, unknown> = {};
  for (const name of same) if (body[name] !== undefined) fields[name] = body[name];
  return {
    ...fields,
    // OpenAI's seeds may be negative, ours are unsigned: the same bits.
    seed: seed === undefined ? undefined : seed >>> 0,
    stop: typeof stop === 'string' ? [stop] : stop,
    logit_bias:
      bias === undefined ? undefined : Object.entries(bias).map(([token, value]) => [Number(token), value]),
  };
}
