import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { until } from './wait.js';

/** A request that a collector got. */
export interface Collected {
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: unknown;
}

/** An HTTP server that keeps what is posted to it: an event log, or a collector of traces. */
export class EventCollector {
  readonly #server: Server;
  readonly #collected: Collected[] = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  /** @param behaviour of its answers; `hang`: none ever comes */
  static async listen(behaviour: 'ok' | 'fail' | 'hang' = 'ok'): Promise<EventCollector> {
    const server = createServer();
    const collector = new EventCollector(server);
    server.on('request', (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        const body: unknown = JSON.parse(text);
        collector.#collected.push({ path: request.url ?? '', headers: request.headers, body });
        if (behaviour === 'hang') return;
        response.writeHead(behaviour === 'ok' ? 200 : 500).end();
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return collector;
  }

  get url(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `http://127.0.0.1:${port}`;
  }

  get collected(): readonly Collected[] {
    return [...this.#collected];
  }

  /** Resolves with all that came once there are so many. */
  async waitFor(count: number): Promise<readonly Collected[]> {
    return until(
      () => (this.#collected.length >= count ? this.collected : undefined),
      () => `${this.#collected.length} of ${count} posts came`,
    );
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
