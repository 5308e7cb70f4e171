import { parse, TomlError } from 'smol-toml';
import * as z from 'zod';
import { StartupError } from '../lock/startup-error.js';
import { serviceNameSchema } from '../registry/service-record.js';

/**
 * The TOML file of a babysitter: InfiniLM-SVC's keys (behaviours.md 3.3), and ours beside them. Every wrong or unknown
 * key is named at once, by its place and without its value.
 */

const text = z.string().min(1).max(4096);
const portSchema = z.int().min(1).max(65_534);
const args = z.array(z.string().max(32_768)).max(1024).default([]);
const env = z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.string().max(32_768)).default({});
const seconds = z.number().positive().max(86_400);
const common = { work_dir: text.optional(), env };

const backendSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('command'), command: text, args, ...common }),
  z.strictObject({ type: z.literal('vllm'), model: text, args, ...common }),
  z.strictObject({ type: z.literal('infinilm'), model_path: text.optional(), args, ...common }),
  z.strictObject({ type: z.literal('infinilm-rust'), config_file: text, ...common }),
  z.strictObject({ type: z.literal('mock'), models: z.array(text).min(1).max(64), ...common }),
  z.strictObject({
    type: z.literal('llama-server'),
    llama_server_bin: text.default('/usr/local/bin/llama-server'),
    model_path: text,
    gpu_layers: z.int().min(0).max(10_000).default(0),
    n_threads: z.int().min(1).max(1024).default(8),
    context_len: z.int().min(64).max(16_777_216).default(32_768),
    parallel: z.int().min(1).max(256).default(4),
    extra_args: args,
    ...common,
  }),
]);
export type ServiceBackend = z.output<typeof backendSchema>;

const babysitterSchema = z.strictObject({
  /** With `restart_delay`: restarts in a whole life, each after the same wait (row 119). */
  max_restarts: z.int().min(0).max(1_000_000).optional(),
  restart_delay: z.number().min(0).max(86_400).optional(),
  heartbeat_interval: seconds.default(30),
  /** In their place, where neither is given: a budget with growing waits, which good service gives back. */
  child_restart_max: z.int().min(0).max(1000).default(3),
  min_stable_uptime_secs: seconds.default(30),
  startup_timeout_secs: seconds.default(60),
});

const proxySchema = z.strictObject({
  port: portSchema,
  /** Until the service begins to answer; and the longest silence in an answer. */
  timeout_secs: seconds.default(120),
  body_limit_bytes: z
    .int()
    .min(1)
    .max(256 * 1024 * 1024)
    .default(32 * 1024 * 1024),
});

const fileSchema = z.strictObject({
  name: serviceNameSchema.optional(),
  host: z.string().min(1).max(253).default('localhost'),
  port: portSchema,
  registry_url: z.url({ protocol: /^https?$/ }).optional(),
  /** Read for compatibility: the router finds services by the registry. */
  router_url: z.url({ protocol: /^https?$/ }).optional(),
  /** Environment variable with the token that the registry asks for. */
  registry_token_env: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/)
    .optional(),
  babysitter: babysitterSchema.prefault({}),
  backend: backendSchema,
  metadata: z.record(z.string().max(128), z.unknown()).default({}),
  /** A port that passes on what it gets to the service, as gradatum's engine does. */
  proxy: proxySchema.optional(),
});

/** A babysitter's settings, checked. */
export type BabysitterConfig = z.output<typeof fileSchema> & { readonly name: string };

/** Values of one source, not yet checked. */
export type BabysitterInput = Readonly<Record<string, unknown>>;

/** The values of a TOML text. @throws StartupError `config` that says on which line it is wrong. */
export function parseToml(toml: string): BabysitterInput {
  try {
    return parse(toml);
  } catch (cause) {
    const place = cause instanceof TomlError ? ` (line ${cause.line}, column ${cause.column})` : '';
    throw new StartupError('config', `the configuration file is not valid TOML${place}`, { cause });
  }
}

/** Checks the whole. @throws StartupError `config` that names everything that is wrong. */
export function checkBabysitterConfig(input: BabysitterInput): BabysitterConfig {
  const result = fileSchema.safeParse(input);
  if (!result.success) {
    const problems = result.error.issues.slice(0, 16).map(describe);
    throw new StartupError('config', `babysitter configuration: ${problems.join('; ')}`);
  }
  const config = result.data;
  if (config.proxy !== undefined && [config.port, config.port + 1].includes(config.proxy.port))
    throw new StartupError(
      'config',
      'babysitter configuration: proxy.port: must differ from port and port + 1',
    );
  return { ...config, name: config.name ?? `${config.backend.type}-${config.port}` };
}

function describe(issue: z.core.$ZodIssue): string {
  const place = issue.path.map(String).join('.');
  const what =
    issue.code === 'unrecognized_keys'
      ? `unknown key ${issue.keys.map((key) => JSON.stringify(key)).join(', ')}`
      : issue.message;
  return place === '' ? what : `${place}: ${what}`;
}
