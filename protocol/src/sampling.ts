import * as z from 'zod';
import { limits } from './limits.js';

/** How the next token is chosen: what a request may say of it, and the form that engines see. */

const u32 = z.int().min(0).max(4_294_967_295);

/** Marks in the JSON Schema what is newer than version 1 as it was first published. */
export const additionNote = 'Addition to version 1.';

/** What sampling uses where a request is silent (row 17). */
export const samplingDefaults = {
  temperature: 1.0,
  top_p: 0.95,
  top_k: 64,
  max_tokens: 1000,
  stream: true,
} as const;

/** The fields of version 1. */
export const samplingFields = {
  temperature: z
    .number()
    .min(0)
    .max(100)
    .optional()
    .meta({ default: samplingDefaults.temperature, description: '0 takes the likeliest token.' }),
  top_p: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .meta({ default: samplingDefaults.top_p, description: '1 switches it off.' }),
  top_k: u32.optional().meta({ default: samplingDefaults.top_k, description: '0 switches it off.' }),
  max_tokens: u32
    .min(1)
    .optional()
    .meta({ default: samplingDefaults.max_tokens, description: 'Most tokens of the answer.' }),
};

/** `schema` as an optional field that is newer than version 1. */
function addition<Schema extends z.ZodType>(schema: Schema, description: string, fallback?: number) {
  return schema.optional().meta({
    $comment: additionNote,
    ...(fallback === undefined ? {} : { default: fallback }),
    description,
  });
}

/** The fields that came later. Names and defaults are llama.cpp's. */
export const samplingAdditions = {
  seed: addition(u32, 'Equal seeds give equal text for equal requests. Absent: a random one.'),
  min_p: addition(
    z.number().min(0).max(1),
    'Least probability of a token relative to the likeliest. 0 switches it off.',
    0,
  ),
  typical_p: addition(z.number().gt(0).max(1), 'Locally typical sampling. 1 switches it off.', 1),
  repeat_penalty: addition(
    z.number().gt(0).max(10),
    'Divides the logits of tokens that came lately. 1 switches it off.',
    1,
  ),
  presence_penalty: addition(
    z.number().min(-10).max(10),
    'Taken from the logit of each token that came lately. 0 switches it off.',
    0,
  ),
  frequency_penalty: addition(
    z.number().min(-10).max(10),
    'Taken from the logit of a token as often as it came lately. 0 switches it off.',
    0,
  ),
  repeat_last_n: addition(z.int().min(0).max(8192), 'How many tokens back the penalties look.', 64),
  dry_multiplier: addition(
    z.number().min(0).max(10),
    'Strength of DRY, which keeps sequences from coming again. 0 switches it off.',
    0,
  ),
  dry_base: addition(z.number().min(1).max(10), 'Base of the exponential penalty of DRY.', 1.75),
  dry_allowed_length: addition(z.int().min(1).max(8192), 'Longest repetition that DRY lets pass.', 2),
  dry_penalty_last_n: addition(z.int().min(0).max(8192), 'How many tokens back DRY looks.', 1024),
  xtc_probability: addition(
    z.number().min(0).max(1),
    'Chance of leaving out the likeliest tokens (XTC). 0 switches it off.',
    0,
  ),
  xtc_threshold: addition(z.number().min(0).max(1), 'Least probability of a token that XTC leaves out.', 0.1),
  mirostat: addition(
    z.int().min(0).max(2),
    'Version of Mirostat, which replaces top_k, top_p, min_p and typical_p. 0 switches it off.',
    0,
  ),
  mirostat_tau: addition(z.number().min(0).max(100), 'Surprise that Mirostat aims at.', 5),
  mirostat_eta: addition(z.number().gt(0).max(1), 'Learning rate of Mirostat.', 0.1),
  logit_bias: addition(
    z
      .array(z.tuple([z.int().min(0).max(2_147_483_647), z.number().min(-100).max(100)]))
      .max(limits.logitBiases),
    'Pairs of a token and what is added to its logit. -100 bans it.',
  ),
  logprobs: addition(
    z.int().min(0).max(limits.logprobs),
    'Asks for the log-probability of each token, and of so many alternatives.',
  ),
};

type SamplingRequest = {
  readonly [Field in keyof (typeof samplingFields & typeof samplingAdditions)]?: z.output<
    (typeof samplingFields & typeof samplingAdditions)[Field]
  >;
};

/** Sampling with every default filled in. Engines see only this form. */
export interface Sampling {
  /** 0: greedy. */
  readonly temperature: number;
  readonly topP: number;
  /** 0: off. */
  readonly topK: number;
  /** 0: off. */
  readonly minP: number;
  /** 1: off. */
  readonly typicalP: number;
  readonly penalties: Penalties;
  /** Undefined: off. */
  readonly dry: Dry | undefined;
  /** Undefined: off. */
  readonly xtc: { readonly probability: number; readonly threshold: number } | undefined;
  /** Undefined: off. */
  readonly mirostat: { readonly version: 1 | 2; readonly tau: number; readonly eta: number } | undefined;
  /** Added to the logits, by token. */
  readonly logitBias: readonly { readonly token: number; readonly bias: number }[];
  /** How many alternatives to give with the log-probability of each token; undefined: none of it. */
  readonly logprobs: number | undefined;
  readonly seed: number | undefined;
  readonly maxTokens: number;
  readonly stop: readonly string[];
}

/** What keeps tokens from coming again. Neutral: 1, 0 and 0. */
export interface Penalties {
  readonly repeat: number;
  readonly presence: number;
  readonly frequency: number;
  /** Tokens to look back. */
  readonly lastN: number;
}

/** Source: the DRY sampler of llama.cpp. */
export interface Dry {
  readonly multiplier: number;
  readonly base: number;
  readonly allowedLength: number;
  readonly lastN: number;
}

/** Fills in the defaults (row 17). */
export function resolveSampling(request: SamplingRequest, stop: readonly string[]): Sampling {
  const { dry_multiplier: dry = 0, xtc_probability: xtc = 0, mirostat = 0 } = request;
  return {
    temperature: request.temperature ?? samplingDefaults.temperature,
    topP: request.top_p ?? samplingDefaults.top_p,
    topK: request.top_k ?? samplingDefaults.top_k,
    minP: request.min_p ?? 0,
    typicalP: request.typical_p ?? 1,
    penalties: {
      repeat: request.repeat_penalty ?? 1,
      presence: request.presence_penalty ?? 0,
      frequency: request.frequency_penalty ?? 0,
      lastN: request.repeat_last_n ?? 64,
    },
    dry:
      dry === 0
        ? undefined
        : {
            multiplier: dry,
            base: request.dry_base ?? 1.75,
            allowedLength: request.dry_allowed_length ?? 2,
            lastN: request.dry_penalty_last_n ?? 1024,
          },
    xtc: xtc === 0 ? undefined : { probability: xtc, threshold: request.xtc_threshold ?? 0.1 },
    mirostat:
      mirostat === 0
        ? undefined
        : {
            version: mirostat === 1 ? 1 : 2,
            tau: request.mirostat_tau ?? 5,
            eta: request.mirostat_eta ?? 0.1,
          },
    logitBias: (request.logit_bias ?? []).map(([token, bias]) => ({ token, bias })),
    logprobs: request.logprobs,
    seed: request.seed,
    maxTokens: request.max_tokens ?? samplingDefaults.max_tokens,
    stop,
  };
}
