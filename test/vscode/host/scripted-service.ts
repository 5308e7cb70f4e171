import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An OpenAI-compatible service with one model, which says what it is told to. */
export interface ScriptedService {
  /** Bodies of the chats that it was asked for, oldest first. */
  readonly asked: readonly string[];
  /** Begins to listen, on loopback. @returns its base URL */
  readonly listen: () => Promise<string>;
  readonly close: () => void;
}

/** @param model the name of its model. @param events what it streams in answer to each chat, as JSON */
export function scriptedService(model: string, events: readonly object[]): ScriptedService {
  const asked: string[] = [];
  const answer = [...events.map((event) => JSON.stringify(event)), '[DONE]'];
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (piece: string) => {
      body += piece;
    });
    request.on('end', () => {
      if (request.url !== '/v1/chat/completions') {
        response.setHeader('Content-Type', 'application/json');
        response.end(JSON.stringify({ object: 'list', data: [{ id: model, object: 'model' }] }));
        return;
      }
      asked.push(body);
      response.setHeader('Content-Type', 'text/event-stream');
      for (const data of answer) response.write(`data: ${data}\n\n`);
      response.end();
    });
  });
  return {
    asked,
    listen: async () => {
      await once(server.listen(0, '127.0.0.1'), 'listening');
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    },
    close: () => void server.close(),
  };
}

/** An event of a chat's stream. */
export function delta(piece: object, finish: string | null = null): object {
  return { choices: [{ index: 0, delta: piece, finish_reason: finish }] };
}
