import * as z from 'zod';
import { acceleratorKinds } from '../accelerators/kinds.js';
import { engineFailureKinds } from '../engine/engine.js';
import { keyValueTypes } from '../models/memory/key-value-type.js';
import { StartupError } from '../lock/startup-error.js';
import type { ConfigInput } from './config-file.js';
import { httpConfigSchema } from './http-config.js';
import { observabilityConfigShape, observabilityContradictions } from './events-config.js';
import { limitsConfigSchema } from './limits-config.js';
import { stateConfigShape, stateContradictions } from './state-config.js';
import { remoteBackendSchema } from './remote-backend.js';
import { servicesConfigSchema } from './services-config.js';

/**
 * Everything that can be set about a daemon, from one schema. Sources, strongest first: command line,
 * environment, file, default (row 81). Names are those of the file; the command line writes them with dashes.
 */

const name = z.string().min(1);
/** A limit: it has a value above zero (row 159). */
const seconds = z.number().positive().max(86_400);
/** A duration that zero switches off, or makes immediate. */
const secondsOrNone = z.number().min(0).max(86_400);
const sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/i, 'must be 64 hexadecimal digits')
  .transform((text) => text.toLowerCase());
const contextSize = z.int().min(64).max(1_048_576);

/** A piece of an answer that the mock plays. */
const scriptedPiece = z.union(
  [
    z.strictObject({ text: z.string() }),
    z.strictObject({ thinking: z.string() }),
    z.strictObject({ prefill: z.number().min(0).max(1) }),
    z.strictObject({
      tool_call: z.strictObject({ name, arguments: z.record(z.string(), z.unknown()) }),
    }),
    z.strictObject({ raw_tool_call: z.strictObject({ name, arguments: z.string() }) }),
    z.strictObject({ failure: z.enum(engineFailureKinds) }),
  ],
  { error: 'must be one of text, thinking, prefill, tool_call, raw_tool_call and failure' },
);

const scriptedAnswer = z.strictObject({
  when: z.string().optional(),
  pieces: z.array(scriptedPiece).max(4096),
  stop_detail: z.enum(['stop_sequence', 'tool_use']).optional(),
  prompt_tokens: z.int().min(0).optional(),
  cached_tokens: z.int().min(0).optional(),
});

const mockKnobs = {
  tokens: z.array(z.string()).optional(),
  document: z.string().max(1_048_576).optional(),
  token_delay_ms: z.number().min(0).optional(),
  mid_stream_drop_after: z.int().min(0).optional(),
  pre_stream_error: z.enum(['not_ready', 'invalid_request', 'unavailable', 'internal']).optional(),
  ready_after_ms: z.number().min(-1).optional(),
  name: name.optional(),
  /** Answers by what the last turn holds; the first that fits is played in place of `tokens`. */
  script: z.array(scriptedAnswer).max(256).optional(),
  /** What it can do; absent: everything but vision. */
  capabilities: z
    .array(z.enum(['generate', 'embed', 'rerank', 'tokenize', 'vision', 'tools', 'thinking', 'infill']))
    .optional(),
};

const mockOptionsSchema = z
  .strictObject(mockKnobs)
  .meta({ description: 'The knobs of the mock engine (row 78).' });

const backendSchema = z.discriminatedUnion(
  'kind',
  [
    z.strictObject({
      kind: z.literal('llama'),
      name: name.optional(),
      model: name,
      sha256: sha256.optional(),
      context_size: contextSize.optional(),
    }),
    z.strictObject({ kind: z.literal('mock'), ...mockKnobs }),
    remoteBackendSchema,
  ],
  { error: 'must be "llama", "mock" or "openai-compat"' },
);

export const configSchema = z.strictObject({
  runtime_dir: name.optional(),
  model: name.optional(),
  /** Models that are loaded at once. */
  max_loaded_models: z.int().min(1).max(64).default(3),
  /** How long a model stays loaded that nobody uses; 0: for ever. */
  model_idle_secs: secondsOrNone.default(900),
  /** How long a loaded model stays at least while another wants its room. */
  model_stay_secs: secondsOrNone.default(5),
  /** How long a model that is asked for waits for room before one in use has to finish and make it. */
  model_patience_secs: secondsOrNone.default(30),
  /** Hosts that models may be fetched from, beside those that are built in; `*.` stands for any name below. */
  model_hosts: z
    .array(z.string().regex(/^(?:\*\.)?[a-z0-9.-]+$/i))
    .max(64)
    .default([]),
  /** Environment variable with the token for fetching models. */
  model_token_env: name.default('HF_TOKEN'),
  /** What the model's file must hash to; undefined: what is known of it by itself. */
  model_sha256: sha256.optional(),
  /** What generates, in priority order; in place of `model`, `engine` and `mock` (row 82). */
  backends: z.array(backendSchema).min(1).max(16).optional(),
  engine: z.enum(['llama', 'mock']).default('llama'),
  /** What drives llama.cpp: its C interface, node-llama-cpp, or the first of them that works. */
  engine_driver: z.enum(['auto', 'ffi', 'addon']).default('auto'),
  /** What computes: a graphics card where a build for it is there and works, the processor, or one of them by name. */
  accelerator: z.enum(['auto', ...acceleratorKinds]).default('auto'),
  /** Layers for the graphics card, the output counted as one; undefined: as many as it has room for. */
  gpu_layers: z.int().min(0).max(10_000).optional(),
  /**
   * Guesses tokens ahead: `lookup` from what stands before in the conversation, `draft` with `draft_model`. It stops by
   * itself where it loses.
   */
  speculation: z.enum(['off', 'lookup', 'draft']).default('off'),
  /** A smaller model with the same vocabulary as the model's, by name or path. Used where `speculation` is `draft`. */
  draft_model: name.optional(),
  /** How the context is kept: `q8_0` takes half the memory, and a little of the exactness. */
  kv_type: z.enum(keyValueTypes).default('f16'),
  /** Memory for saved states of conversations in each engine, in MiB; 0: none. */
  kv_memory_mib: z.int().min(0).max(1_048_576).default(256),
  /** Keeps states of conversations on disk too, so that they outlive the engine. They tell what was said. */
  kv_disk: z.boolean().default(false),
  kv_disk_mib: z.int().min(1).max(16_777_216).default(4096),
  /** One mock engine, or several in priority order. */
  mock: z
    .union([mockOptionsSchema, z.array(mockOptionsSchema).min(1)], {
      error: `must be an object with any of ${Object.keys(mockKnobs).join(', ')}, or an array of such`,
    })
    .optional(),
  tcp: name.optional(),
  tcp_key_env: name.optional(),
  tcp_allow_remote: z.boolean().default(false),
  /** HTTP for clients of other APIs; undefined: off. */
  http: httpConfigSchema.optional(),
  active_permits: z.int().min(1).max(64).default(1),
  /** 0: nobody waits. */
  queue_depth: z.int().min(0).max(4096).default(10),
  /** 0: for ever. */
  ready_timeout_secs: secondsOrNone.default(30),
  /** 0 switches the bound off. */
  write_timeout_secs: secondsOrNone.default(60),
  drain_timeout_secs: seconds.default(10),
  /** How long a sidecar outlives its editor when nobody else is connected. */
  linger_secs: secondsOrNone.default(5),
  context_size: contextSize.optional(),
  /** When both ends of a socket prove themselves: `auto`: where the kernel does not say who the peer is. */
  socket_proof: z.enum(['auto', 'always']).default('auto'),
  log_dir: name.optional(),
  /** Bounds on connections and on what one of them may hold. */
  limits: limitsConfigSchema.prefault({}),
  /** Registry, babysitters and router inside the daemon; absent: none. */
  services: servicesConfigSchema.optional(),
  ...stateConfigShape,
  ...observabilityConfigShape,
});

export type Config = z.output<typeof configSchema>;
export type MockConfig = z.output<typeof mockOptionsSchema>;
export type BackendConfig = z.output<typeof backendSchema>;

/** What the default file says when it is first written: the figures, but not the choice of a model. */
export function defaultFileContent(): ConfigInput {
  const {
    engine: _engine,
    engine_driver: _driver,
    accelerator: _accelerator,
    limits: _limits,
    events: _events,
    ...figures
  } = configSchema.parse({});
  return figures;
}

/** Environment variables and the keys that they set. */
export const environmentKeys = {
  HEARTH_RUNTIME_DIR: 'runtime_dir',
  HEARTH_LOG_DIR: 'log_dir',
  HEARTH_ENGINE_DRIVER: 'engine_driver',
  HEARTH_ACCELERATOR: 'accelerator',
} as const;

/** What the environment sets. An empty variable counts as unset. */
export function configFromEnvironment(env: NodeJS.ProcessEnv): ConfigInput {
  const entries = Object.entries(environmentKeys).flatMap(([variable, key]) => {
    const value = env[variable];
    return value === undefined || value === '' ? [] : [[key, value] as const];
  });
  return Object.fromEntries(entries);
}

/**
 * Merges the sources, strongest first, and checks the whole.
 *
 * `backends` and the keys that it stands for displace each other between sources: a flag `--model` is stronger than
 * a list in the file. Within one source they contradict each other (row 82).
 *
 * @throws StartupError `config` that names every wrong or unknown key at once (rows 160, 161).
 */
export function resolveConfig(...sources: readonly ConfigInput[]): Config {
  const values = new Map<string, unknown>();
  for (const source of sources.toReversed()) {
    if (source['backends'] !== undefined) for (const key of insteadOfBackends) values.delete(key);
    else if (insteadOfBackends.some((key) => source[key] !== undefined)) values.delete('backends');
    for (const [key, value] of Object.entries(source)) {
      if (value !== undefined) values.set(key, value);
    }
  }
  const merged: ConfigInput = Object.fromEntries(values);
  const result = configSchema.safeParse(merged);
  const problems = [
    ...(result.success ? contradictions(result.data) : result.error.issues.map(describe)),
    ...twoChoices(merged),
  ];
  if (problems.length > 0 || !result.success) {
    throw new StartupError('config', `configuration: ${problems.join('; ')}`);
  }
  return result.data;
}

/** Keys that say what generates where `backends` does not. */
const insteadOfBackends = ['model', 'model_sha256', 'engine', 'mock', 'context_size'] as const;

function twoChoices(merged: ConfigInput): readonly string[] {
  if (merged['backends'] === undefined) return [];
  return insteadOfBackends
    .filter((key) => merged[key] !== undefined)
    .map((key) => `${key}: cannot stand beside backends; give one of the two`);
}

function contradictions(config: Config): string[] {
  const problems: string[] = [];
  if (config.mock !== undefined && config.engine !== 'mock') {
    problems.push('mock: has an effect only with engine "mock"');
  }
  if (config.engine === 'mock' && config.model !== undefined) {
    problems.push('model: the mock engine has no model; leave it out');
  }
  if (config.engine === 'mock' && config.model_sha256 !== undefined) {
    problems.push('model_sha256: the mock engine has no model; leave it out');
  }
  if (config.speculation === 'draft' && config.draft_model === undefined) {
    problems.push('speculation: "draft" needs draft_model, a smaller model with the same vocabulary');
  }
  if (config.draft_model !== undefined && config.speculation !== 'draft') {
    problems.push('draft_model: has an effect only with speculation "draft"');
  }
  if (config.tcp_key_env !== undefined && config.tcp === undefined) {
    problems.push('tcp_key_env: has an effect only with tcp');
  }
  problems.push(...stateContradictions(config), ...observabilityContradictions(config));
  return problems;
}

function describe(issue: z.core.$ZodIssue): string {
  const place = issue.path.map(String).join('.');
  if (issue.code === 'unrecognized_keys') {
    const keys = issue.keys.map((key) => `"${key}"`).join(', ');
    return place === '' ? `unknown key ${keys}` : `${place}: unknown key ${keys}`;
  }
  return `${place}: ${issue.message}`;
}
