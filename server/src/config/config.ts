import { z } from 'zod';
import { StartupError } from '../lock/startup-error.js';

/**
 * Everything that can be set about a daemon, from one schema. Sources, strongest first: command line,
 * environment, file, default (row 81). Names are those of the file; the command line writes them with dashes.
 */

const seconds = z.number().min(0).max(86_400);
const name = z.string().min(1);

const mockOptionsSchema = z
  .strictObject({
    tokens: z.array(z.string()).optional(),
    token_delay_ms: z.number().min(0).optional(),
    mid_stream_drop_after: z.int().min(0).optional(),
    pre_stream_error: z.enum(['not_ready', 'invalid_request', 'unavailable', 'internal']).optional(),
    ready_after_ms: z.number().min(-1).optional(),
    name: name.optional(),
  })
  .meta({ description: 'The knobs of the mock engine (row 78).' });

export const configSchema = z.strictObject({
  runtime_dir: name.optional(),
  model: name.optional(),
  engine: z.enum(['llama', 'mock']).default('llama'),
  /** One mock engine, or several in priority order. */
  mock: z
    .union([mockOptionsSchema, z.array(mockOptionsSchema).min(1)], {
      error: `must be an object with any of ${Object.keys(mockOptionsSchema.shape).join(', ')}, or an array of such`,
    })
    .optional(),
  tcp: name.optional(),
  tcp_key_env: name.optional(),
  tcp_allow_remote: z.boolean().default(false),
  active_permits: z.int().min(1).max(64).default(1),
  queue_depth: z.int().min(0).max(4096).default(10),
  ready_timeout_secs: seconds.default(30),
  /** 0 switches the bound off. */
  write_timeout_secs: seconds.default(60),
  drain_timeout_secs: seconds.default(10),
  /** How long a sidecar outlives its editor when nobody else is connected. */
  linger_secs: seconds.default(5),
  context_size: z.int().min(64).max(1_048_576).optional(),
  log_dir: name.optional(),
});

export type Config = z.output<typeof configSchema>;
export type MockConfig = z.output<typeof mockOptionsSchema>;
/** Values of one source, not yet checked. */
export type ConfigInput = Readonly<Record<string, unknown>>;

/** Environment variables and the keys that they set. */
export const environmentKeys = {
  HEARTH_RUNTIME_DIR: 'runtime_dir',
  HEARTH_LOG_DIR: 'log_dir',
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
 * @throws StartupError `config` that names every wrong or unknown key at once (rows 160, 161).
 */
export function resolveConfig(...sources: readonly ConfigInput[]): Config {
  const merged: Record<string, unknown> = {};
  for (const source of sources.toReversed()) {
    for (const [key, value] of Object.entries(source)) {
      if (value !== undefined) merged[key] = value;
    }
  }
  const result = configSchema.safeParse(merged);
  const problems = result.success ? contradictions(result.data) : result.error.issues.map(describe);
  if (problems.length > 0 || !result.success) {
    throw new StartupError('config', `configuration: ${problems.join('; ')}`);
  }
  return result.data;
}

function contradictions(config: Config): string[] {
  const problems: string[] = [];
  if (config.mock !== undefined && config.engine !== 'mock') {
    problems.push('mock: has an effect only with engine "mock"');
  }
  if (config.engine === 'mock' && config.model !== undefined) {
    problems.push('model: the mock engine has no model; leave it out');
  }
  if (config.tcp_key_env !== undefined && config.tcp === undefined) {
    problems.push('tcp_key_env: has an effect only with tcp');
  }
  return problems;
}

function describe(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys')
    return `unknown key ${issue.keys.map((key) => `"${key}"`).join(', ')}`;
  return `${issue.path.map(String).join('.')}: ${issue.message}`;
}
