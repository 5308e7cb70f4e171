import * as z from 'zod';
import { askSmall, jsonOf, type SmallAnswer } from '../upstream/read-answer.js';
import type { Upstream } from '../upstream/upstream.js';
import { UpstreamError } from '../upstream/upstream-error.js';
import type { Registration } from './service-record.js';

/** A registry elsewhere, as babysitters and routers see it: this one's, or InfiniLM-SVC's own. */
export class RegistryClient {
  readonly url: string;
  readonly #upstream: Upstream;
  readonly #origin: string;
  readonly #prefix: string;
  readonly #headers: readonly string[];

  /** @param token Shown to a registry that asks for one. */
  constructor(upstream: Upstream, url: string, token?: string) {
    this.url = url.replace(/\/+$/, '');
    this.#upstream = upstream;
    const { origin, pathname } = new URL(url);
    this.#origin = origin;
    this.#prefix = pathname.replace(/\/+$/, '');
    this.#headers = token === undefined ? [] : ['Authorization', `Bearer ${token}`];
  }

  /** Lists a service. False: the registry did not take it. Never rejects. */
  async register(registration: Registration, signal?: AbortSignal): Promise<boolean> {
    const status = await this.#change('POST', '/services', registration, signal);
    return status !== undefined && status < 300;
  }

  /** A sign of life. `unknown`: the registry does not know the service, as after a restart of its own. */
  async heartbeat(name: string, status: string, signal?: AbortSignal): Promise<'ok' | 'unknown' | 'failed'> {
    const answer = await this.#change(
      'POST',
      `/services/${encodeURIComponent(name)}/heartbeat`,
      { status },
      signal,
    );
    if (answer === 404) return 'unknown';
    return answer !== undefined && answer < 300 ? 'ok' : 'failed';
  }

  /** Takes a service off the list. Never rejects. */
  async unregister(name: string, signal?: AbortSignal): Promise<void> {
    await this.#change('DELETE', `/services/${encodeURIComponent(name)}`, undefined, signal);
  }

  /**
   * The healthy services.
   *
   * @param after A revision that is known already: the answer then comes with the next change, or after `waitSecs`.
   * @throws UpstreamError
   */
  async healthy(
    options: { after?: number | undefined; waitSecs?: number; signal?: AbortSignal } = {},
  ): Promise<ServiceList> {
    const { after, waitSecs = 30, signal } = options;
    const watch = after === undefined ? '' : `&after=${after}&wait=${waitSecs}`;
    const answer = await this.#ask(
      'GET',
      `/services?healthy=true${watch}`,
      undefined,
      waitSecs * 1000 + 5000,
      signal,
    );
    const parsed = listSchema.safeParse(jsonOf(answer.text));
    if (answer.status !== 200 || !parsed.success) throw new UpstreamError('broken');
    return parsed.data;
  }

  async #change(
    method: string,
    path: string,
    body: unknown,
    signal?: AbortSignal,
  ): Promise<number | undefined> {
    try {
      return (await this.#ask(method, path, body, 5000, signal)).status;
    } catch {
      return undefined;
    }
  }

  #ask(
    method: string,
    path: string,
    body: unknown,
    within: number,
    signal?: AbortSignal,
  ): Promise<SmallAnswer> {
    return askSmall(
      this.#upstream,
      {
        method,
        origin: this.#origin,
        path: `${this.#prefix}${path}`,
        headers: [...this.#headers, ...(body === undefined ? [] : ['Content-Type', 'application/json'])],
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal,
      },
      within,
    );
  }
}

const listedSchema = z.object({
  name: z.string().min(1).max(256),
  host: z.string(),
  port: z.int().min(1).max(65_535),
  url: z.string().max(2048),
  is_healthy: z.boolean().default(true),
  weight: z.int().min(0).max(1000).optional(),
  metadata: z.record(z.string(), z.unknown()).default({}),
});
/** A service as a list of the registry has it. */
export type ListedService = z.output<typeof listedSchema>;

const listSchema = z.object({
  services: z.array(listedSchema).max(4096),
  /** Absent in lists of other registries. */
  revision: z.int().optional(),
});
export type ServiceList = z.output<typeof listSchema>;
