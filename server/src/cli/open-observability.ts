import type { Config } from '../config/config.js';
import type { EventSink } from '../events/event-bus.js';
import type { ObservabilityParts } from '../events/observability.js';
import { loopbackUrl } from '../events/post/loopback-url.js';
import { StartupError } from '../lock/startup-error.js';
import { version } from '../version.js';

/** What the configuration asks for. @throws StartupError `config`, as {@link openSinks}. */
export async function openObservability(config: Config, env: NodeJS.ProcessEnv): Promise<ObservabilityParts> {
  const sinks = await openSinks(config, env);
  const toActivityLog = config.events.activity_log;
  if (config.metrics_port === undefined) return { sinks, makeMetrics: undefined, toActivityLog };
  const { Metrics } = await import('../events/metrics/metrics.js');
  return { sinks, makeMetrics: (view) => new Metrics(view), toActivityLog };
}

/**
 * The sinks that the configuration asks for. Nothing that sends is loaded before.
 *
 * @throws StartupError `config` for a URL that is not on this machine (row 104), or a token that is not there.
 */
async function openSinks({ events }: Config, env: NodeJS.ProcessEnv): Promise<readonly EventSink[]> {
  const sinks: EventSink[] = [];
  if (events.http_url !== undefined) {
    const base = checkUrl('events.http_url', events.http_url);
    const token = readToken('events.http_token_env', events.http_token_env, env);
    const { httpEventSink } = await import('../events/post/http-event-sink.js');
    sinks.push(httpEventSink({ base, token, agentId: events.http_agent_id }));
  }
  if (events.otlp_url !== undefined) {
    const base = checkUrl('events.otlp_url', events.otlp_url);
    const token = readToken('events.otlp_token_env', events.otlp_token_env, env);
    const { otlpSink } = await import('../events/post/otlp-sink.js');
    sinks.push(otlpSink({ base, token, version }));
  }
  return sinks;
}

function checkUrl(key: string, text: string): string {
  const url = loopbackUrl(text);
  if (url !== undefined) return url;
  const example = 'http://127.0.0.1:19090';
  throw new StartupError(
    'config',
    `configuration: ${key}: must be plain HTTP on this machine, such as ${example}; events leave it by no other way`,
  );
}

/** The configuration names a variable; it never holds the token itself (row 83). */
function readToken(key: string, variable: string | undefined, env: NodeJS.ProcessEnv): string | undefined {
  if (variable === undefined) return undefined;
  const token = env[variable];
  if (token !== undefined && token !== '') return token;
  throw new StartupError('config', `configuration: ${key}: the variable ${variable} is not set`);
}
