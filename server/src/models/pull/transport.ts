import type { Readable } from 'node:stream';
import { Agent, type Dispatcher, EnvHttpProxyAgent, request } from 'undici';
import { PullError } from './pull-error.js';
import { type PullPolicy, requireAllowed } from './pull-policy.js';

/** Most redirects of one request. */
const mostRedirects = 5;

export interface TransportOptions {
  readonly policy: PullPolicy;
  /** Sent as a bearer to the origin that was asked first, and to no other (CVE-2025-51471). */
  readonly token: string | undefined;
  /** Silence after which a connection counts as stalled, in milliseconds. @default 30 000 */
  readonly stallMs?: number;
}

/** What a server answered. `body` has to be read or destroyed. */
export interface Answer {
  readonly status: number;
  /** Names in small letters; of several values the first. */
  readonly header: (name: string) => string | undefined;
  /** A header of the first redirect, which is where Hugging Face says what it knows of the file. */
  readonly firstHeader: (name: string) => string | undefined;
  readonly body: Readable;
}

/** Fetches by GET: follows redirects within the policy, never with a compressed body. To be closed. */
export class Transport {
  readonly #options: TransportOptions;
  readonly #dispatcher: Dispatcher;

  constructor(options: TransportOptions) {
    this.#options = options;
    const stall = options.stallMs ?? 30_000;
    const timeouts = { headersTimeout: stall, bodyTimeout: stall, connect: { timeout: stall } };
    const proxied = ['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY'].some(
      (name) => (process.env[name] ?? '') !== '',
    );
    this.#dispatcher = proxied ? new EnvHttpProxyAgent(timeouts) : new Agent(timeouts);
  }

  /** @throws PullError; the system's own error where the connection fails; an AbortError after `signal`. */
  async get(url: URL, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Answer> {
    let at = url;
    let first: Dispatcher.ResponseData['headers'] | undefined;
    for (let hop = 0; hop <= mostRedirects; hop += 1) {
      requireAllowed(at, this.#options.policy, hop > 0);
      const response = await request(at.href, {
        dispatcher: this.#dispatcher,
        signal,
        headers: {
          'accept-encoding': 'identity',
          'user-agent': 'hearth',
          ...headers,
          ...this.#bearer(url, at),
        },
      });
      first ??= response.headers;
      const location = headerOf(response.headers, 'location');
      if (!isRedirect(response.statusCode) || location === undefined) {
        refuseEncoding(response);
        const [last, begun] = [response.headers, first];
        return {
          status: response.statusCode,
          header: (name) => headerOf(last, name),
          firstHeader: (name) => headerOf(begun, name),
          body: response.body,
        };
      }
      response.body.on('error', () => undefined).destroy();
      if (!URL.canParse(location, at.href))
        throw new PullError('bad_server', 'The server redirects to nowhere.');
      at = new URL(location, at.href);
    }
    throw new PullError('bad_server', 'The server redirects again and again.');
  }

  async close(): Promise<void> {
    await this.#dispatcher.destroy();
  }

  #bearer(first: URL, at: URL): Record<string, string> {
    const { token } = this.#options;
    return token === undefined || at.origin !== first.origin ? {} : { authorization: `Bearer ${token}` };
  }
}

function isRedirect(status: number): boolean {
  return [301, 302, 303, 307, 308].includes(status);
}

/** A body that grows when it is unpacked has no bound that its length could give (CVE-2024-12886). */
function refuseEncoding(response: Dispatcher.ResponseData): void {
  const encoding = headerOf(response.headers, 'content-encoding');
  if (encoding === undefined || encoding === 'identity') return;
  response.body.on('error', () => undefined).destroy();
  throw new PullError('bad_server', 'The server sends the file compressed, which is not taken.');
}

function headerOf(headers: Dispatcher.ResponseData['headers'], name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : value?.[0];
}
