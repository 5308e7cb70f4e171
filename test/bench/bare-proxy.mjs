import { createServer } from 'node:http';
import process from 'node:process';
import { Agent } from 'undici';

/**
 * The least that a way by Node costs, for `bench -- gateway`: HTTP in, the body as it is to the service at `argv[2]`, the
 * answer as it is back. Nothing is checked, read or counted. Run as a process of its own; prints its port.
 */

const origin = process.argv[2] ?? '';
const agent = new Agent({ pipelining: 1 });

const server = createServer({ noDelay: true }, (request, response) => {
  /** @type {Buffer[]} */
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const headers = { 'content-type': 'application/json' };
    const body = Buffer.concat(chunks);
    agent.dispatch(
      { origin, path: request.url ?? '/', method: 'POST', headers, body },
      {
        onRequestStart: () => undefined,
        onResponseStart: (_controller, status, { 'content-type': type = '' }) =>
          void response.writeHead(status, { 'content-type': type }),
        onResponseData: (_controller, chunk) => void response.write(chunk),
        onResponseEnd: () => void response.end(),
        onResponseError: () => void response.destroy(),
      },
    );
  });
});

server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.stdout.write(`${typeof address === 'object' && address !== null ? address.port : 0}\n`);
});
process.stdin.resume().once('close', () => process.exit(0));
