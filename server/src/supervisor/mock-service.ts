import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import { hostNames } from '../http/guard.js';
import { HttpError } from '../http/http-error.js';
import { parseJsonBody, readBody } from '../http/read-body.js';
import { type RoutedRequest, RouteTable } from '../http/routes.js';
import { type HttpServer, sendJson, serveHttp } from '../http/serve-http.js';
import { parseTcpAddress } from '../lock/bind-tcp.js';

export interface MockServiceOptions {
  readonly name: string;
  readonly port: number;
  readonly models: readonly string[];
}

const requestSchema = z.object({ model: z.string(), stream: z.boolean().default(false) });

/**
 * A service without a model, for trying out a pipeline: OpenAI's routes, with an answer that names the service. It runs
 * only where a babysitter's backend is of type `mock`.
 */
export async function serveMock({ name, port, models }: MockServiceOptions): Promise<HttpServer> {
  let answers = 0;
  const list = {
    object: 'list',
    data: models.map((id) => ({ id, object: 'model', created: 0, owned_by: name })),
  };

  const complete = async ({ request, response }: RoutedRequest): Promise<void> => {
    const parsed = requestSchema.safeParse(
      parseJsonBody(await readBody(request, response, 32 * 1024 * 1024)),
    );
    if (!parsed.success) throw new HttpError(400, 'Name a model.');
    const { model, stream } = parsed.data;
    if (!models.includes(model)) throw new HttpError(400, 'This service does not have that model.');
    answers += 1;
    const text = `Hello from ${name} (model: ${model})`;
    const base = { id: `chatcmpl-${answers}`, created: Math.floor(Date.now() / 1000), model };
    if (!stream) {
      const message = { role: 'assistant', content: text };
      sendJson(response, 200, {
        ...base,
        object: 'chat.completion',
        choices: [{ index: 0, message, finish_reason: 'stop' }],
        usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
      });
      return;
    }
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    for (const content of text) {
      const choices = [{ index: 0, delta: { content }, finish_reason: null }];
      response.write(`data: ${JSON.stringify({ ...base, object: 'chat.completion.chunk', choices })}\n\n`);
      await delay(2);
    }
    response.end('data: [DONE]\n\n');
  };

  const routes = new RouteTable([
    {
      method: 'GET',
      path: '/health',
      handle: ({ response }) => sendJson(response, 200, { status: 'healthy', name }),
    },
    { method: 'GET', path: '/v1/models', handle: ({ response }) => sendJson(response, 200, list) },
    { method: 'POST', path: '/v1/chat/completions', handle: complete },
  ]);
  const address = parseTcpAddress(`127.0.0.1:${port}`);
  return serveHttp({
    address,
    guard: { hosts: hostNames(address.host), origins: new Set(), token: undefined },
    handler: async (request, response) => {
      const found = routes.find(request);
      if (found === undefined) throw new HttpError(404, 'There is nothing here.');
      await found.route.handle({ request, response, ...found });
    },
  });
}
