import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One request that a {@link ModelServer} got. */
export interface SeenRequest {
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
  readonly response: ServerResponse;
}

/** Answers a request in a way of its own; false: as a good server would. */
export type Behaviour = (request: SeenRequest, server: ModelServer) => boolean | Promise<boolean>;

/** A server of one file on loopback, for tests of pulls: good by itself, and as bad as a test wants it. */
export class ModelServer {
  /** The file, at every path. */
  bytes: Buffer;
  etag = '"one"';
  behaviour: Behaviour = () => false;
  readonly requests: SeenRequest[] = [];
  readonly #server: Server;

  private constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.#server = createServer((request, response) => {
      const seen = {
        path: request.url ?? '',
        range: request.headers.range,
        authorization: request.headers.authorization,
        response,
      };
      this.requests.push(seen);
      const answer = async (): Promise<void> => {
        if (!(await this.behaviour(seen, this))) this.serve(seen, request.headers['if-range']?.toString());
      };
      answer().catch(() => response.destroy());
    });
  }

  static async start(bytes: Buffer): Promise<ModelServer> {
    const server = new ModelServer(bytes);
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get origin(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  url(file = 'model.gguf'): string {
    return `${this.origin}/models/${file}`;
  }

  /** As a good server does: ranges, validators, `If-Range`. */
  serve({ range, response }: SeenRequest, ifRange?: string): void {
    const match = /^bytes=(\d+)-(\d*)$/u.exec(range ?? '');
    const headers = { etag: this.etag, 'accept-ranges': 'bytes' };
    if (match === null || (ifRange !== undefined && ifRange !== this.etag)) {
      response.writeHead(200, { ...headers, 'content-length': this.bytes.length });
      response.end(this.bytes);
      return;
    }
    const start = Number(match[1]);
    const end = match[2] === '' ? this.bytes.length - 1 : Math.min(Number(match[2]), this.bytes.length - 1);
    response.writeHead(206, {
      ...headers,
      'content-range': `bytes ${String(start)}-${String(end)}/${String(this.bytes.length)}`,
      'content-length': end - start + 1,
    });
    response.end(this.bytes.subarray(start, end + 1));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
