import fs from 'node:fs';
import path from 'node:path';
import type { HearthProcess, Scope, ServeOptions } from './daemon.js';
import type { UpstreamServer } from './upstream.js';

/** A daemon that serves HTTP, and what a client needs to reach it. */
export interface GatewayUnderTest {
  readonly daemon: HearthProcess;
  /** Such as `http://127.0.0.1:40123`. */
  readonly url: string;
  readonly port: number;
  readonly token: string;
}

/** Runs `hearth serve --http` on a free port and waits until it serves. */
export async function serveGateway(scope: Scope, options: ServeOptions = {}): Promise<GatewayUnderTest> {
  const daemon = scope.spawnServe({ ...options, args: ['--http', '127.0.0.1:0', ...(options.args ?? [])] });
  return gatewayOf(daemon);
}

/** The same with an OpenAI-compatible service as its backend, which says what a test has scripted. */
export async function serveGatewayBefore(
  scope: Scope,
  upstream: UpstreamServer,
  options: Pick<ServeOptions, 'args'> & { readonly backend?: Readonly<Record<string, unknown>> } = {},
): Promise<GatewayUnderTest> {
  const home = scope.makeHome();
  const file = path.join(home.root, 'hearth.json');
  const backend = { kind: 'openai-compat', name: 'scripted', base_url: upstream.url, ...options.backend };
  fs.writeFileSync(file, JSON.stringify({ backends: [backend] }));
  return serveGateway(scope, { plain: true, home, args: ['--config', file, ...(options.args ?? [])] });
}

/** The gateway of a daemon that was told to have one, once it serves. */
export async function gatewayOf(daemon: HearthProcess): Promise<GatewayUnderTest> {
  await daemon.printed('token in');
  const url = /hearth: http (\S+) /.exec(daemon.stdout)?.[1] ?? '';
  const file = path.join(daemon.home.runtimeDir, 'http-token');
  const token = fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trim() : '';
  return { daemon, url, port: Number(new URL(url).port), token };
}

/** Asks with the token, as JSON. */
export function ask(
  { url, token }: GatewayUnderTest,
  target: string,
  body?: unknown,
  init: RequestInit = {},
): Promise<Response> {
  return fetch(`${url}${target}`, {
    method: body === undefined ? 'GET' : 'POST',
    ...init,
    headers: {
      Authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      ...(init.headers as Record<string, string> | undefined),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}
