import type { Health } from '@hearth/protocol';
import type { HttpConfig } from '../../config/http-config.js';
import type { DaemonApi } from '../../daemon-api.js';
import type { RecordActivity } from '../../record-activity.js';
import { chosenToken, makeToken } from './access-token.js';
import type { MetricsText } from './exchange.js';
import { Refusals } from './refusals.js';

export interface OpenGatewayOptions {
  readonly daemon: DaemonApi;
  readonly config: HttpConfig;
  /** The runtime directory, where a token that is made here is kept. */
  readonly directory: string;
  /** Undefined: one is made. */
  readonly token: string | undefined;
  readonly writeTimeoutMs: number;
  /** Most connections at once. */
  readonly connections: number;
  /** How long exchanges may go on after the end has begun, in milliseconds. */
  readonly graceMs: number;
  readonly record: RecordActivity;
  /** Undefined: none are kept. */
  readonly metrics: MetricsText | undefined;
  readonly onExchange: (done: Promise<void>) => void;
}

/** The gateway as the daemon keeps it. */
export interface OpenGateway {
  readonly described: NonNullable<Health['gateway']>;
  /** Requests that were turned away, by status. */
  readonly refused: ReadonlyMap<number, number>;
  close(): Promise<void>;
}

/** Opens the gateway that the configuration asks for. Nothing of it is loaded before. @throws StartupError */
export async function openGateway(options: OpenGatewayOptions): Promise<OpenGateway> {
  const { config, record } = options;
  const { serveGateway } = await import('./gateway.js');
  const refusals = new Refusals(record);
  const token = options.token === undefined ? await makeToken(options.directory) : chosenToken(options.token);
  const gateway = await serveGateway({
    daemon: options.daemon,
    address: config.address,
    token: token.secret,
    allowNonLoopback: config.allow_remote,
    hosts: config.hosts,
    origins: config.origins,
    bodyLimit: config.body_limit,
    writeTimeoutMs: options.writeTimeoutMs,
    metrics: config.metrics ? options.metrics : undefined,
    limits: { connections: options.connections },
    onExchange: options.onExchange,
    onFault: (error) => {
      // The name only: a message may hold anything.
      const name = error instanceof Error ? error.name : typeof error;
      record('error', 'connections', { msg: 'internal_error', where: 'gateway', error: name });
    },
    onWrongToken: (peer) => record('warn', 'connections', { msg: 'tcp_auth_rejected', peer }),
    onRefused: refusals.add,
  }).catch(async (error: unknown) => {
    await token.forget();
    throw error;
  });
  return {
    described: { url: gateway.url, ...(token.file === undefined ? {} : { tokenFile: token.file }) },
    refused: refusals.totals,
    close: async () => {
      await token.forget();
      await gateway.close(options.graceMs);
      refusals.close();
    },
  };
}
