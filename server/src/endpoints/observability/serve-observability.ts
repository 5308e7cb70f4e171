import type { IncomingMessage, ServerResponse } from 'node:http';
import { hostNames } from '../../http/guard.js';
import { HttpError } from '../../http/http-error.js';
import { RouteTable } from '../../http/routes.js';
import { type HttpServer, sendJson, serveHttp } from '../../http/serve-http.js';
import { parseTcpAddress } from '../../lock/bind-tcp.js';

export interface ObservabilityOptions {
  /** On this machine. Port 0: any free one. */
  readonly port: number;
  /** The metrics as text, and what kind of text. */
  readonly metrics: () => Promise<{ readonly text: string; readonly contentType: string }>;
  /** What keeps the daemon from serving; empty: it serves. */
  readonly unmetConditions: () => readonly string[];
  readonly onFault: (error: unknown) => void;
}

/**
 * Health and metrics for whoever looks after the machine, on a port of its own that only this machine reaches and that asks
 * for no token: nothing here tells more than counts (rows 111, 162, 163).
 *
 * @throws StartupError where it cannot listen there.
 */
export async function serveObservability(options: ObservabilityOptions): Promise<HttpServer> {
  const routes = new RouteTable([
    {
      method: 'GET',
      path: '/health',
      handle: ({ response }) => {
        sendJson(response, 200, { status: 'healthy', message: null });
      },
    },
    {
      method: 'GET',
      path: '/ready',
      handle: ({ response }) => {
        const unmet = options.unmetConditions();
        sendJson(response, unmet.length === 0 ? 200 : 503, {
          ready: unmet.length === 0,
          unmet_conditions: unmet,
        });
      },
    },
    {
      method: 'GET',
      path: '/metrics',
      handle: async ({ response }) => sendMetrics(response, options),
    },
  ]);
  const address = parseTcpAddress(`127.0.0.1:${String(options.port)}`);
  return serveHttp({
    address,
    allowNonLoopback: false,
    hasKey: false,
    guard: { hosts: hostNames(address.host), origins: new Set(), token: undefined },
    onFault: options.onFault,
    limits: { connections: 32 },
    handler: async (request: IncomingMessage, response: ServerResponse) => {
      const found = routes.find(request);
      if (found === undefined) throw new HttpError(404, 'Here are /health, /ready and /metrics.');
      const { route, parameters, query } = found;
      await route.handle({ request, response, parameters, query });
    },
  });
}

async function sendMetrics(response: ServerResponse, { metrics }: ObservabilityOptions): Promise<void> {
  const { text, contentType } = await metrics();
  response.writeHead(200, {
    'Content-Type': contentType,
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
  });
  response.end(text);
}
