import * as z from 'zod';

/** Who is told of engine events beside the channels. All of it is off unless asked for. */

const url = z.string().min(1);
const variable = z.string().min(1);

export const eventsConfigSchema = z.strictObject({
  /** Notes engine events in the activity log. */
  activity_log: z.boolean().default(false),
  /** Base of an event log on this machine to which served requests are posted. */
  http_url: url.optional(),
  /** Environment variable that holds the token for it. */
  http_token_env: variable.optional(),
  /** Sent with each event. */
  http_agent_id: z.string().min(1).max(128).optional(),
  /** Base of an OpenTelemetry collector on this machine (OTLP over HTTP). */
  otlp_url: url.optional(),
  /** Environment variable that holds the token for it. */
  otlp_token_env: variable.optional(),
});
/** See {@link eventsConfigSchema}. */
export type EventsConfig = z.output<typeof eventsConfigSchema>;

export const observabilityConfigShape = {
  events: eventsConfigSchema.prefault({}),
  /** Port on this machine for /health, /ready and /metrics; 0: any free one. Undefined: off. */
  metrics_port: z.int().min(0).max(65_535).optional(),
};

/** What contradicts itself in these settings: each service has a port of its own (row 162). */
export function observabilityContradictions(config: {
  readonly metrics_port?: number | undefined;
  readonly tcp?: string | undefined;
  readonly http?: { readonly address: string } | undefined;
  readonly events: EventsConfig;
}): readonly string[] {
  const problems: string[] = [];
  const port = config.metrics_port;
  if (port !== undefined && port !== 0) {
    if (portOf(config.tcp) === port) problems.push('metrics_port: is the port of tcp; give each its own');
    if (portOf(config.http?.address) === port)
      problems.push('metrics_port: is the port of http; give each its own');
  }
  const { events } = config;
  if (events.http_token_env !== undefined && events.http_url === undefined)
    problems.push('events.http_token_env: has an effect only with events.http_url');
  if (events.http_agent_id !== undefined && events.http_url === undefined)
    problems.push('events.http_agent_id: has an effect only with events.http_url');
  if (events.otlp_token_env !== undefined && events.otlp_url === undefined)
    problems.push('events.otlp_token_env: has an effect only with events.otlp_url');
  return problems;
}

function portOf(address: string | undefined): number | undefined {
  const port = /:(\d+)$/u.exec(address ?? '')?.[1];
  return port === undefined ? undefined : Number(port);
}
