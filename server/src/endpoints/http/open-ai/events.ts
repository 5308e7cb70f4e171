import type { Exchange } from '../exchange.js';
import { PacedResponse } from '../paced-response.js';

/** A stream of server-sent events as OpenAI's APIs write them. Comments keep the connection alive; clients skip them. */
export function eventStream(exchange: Exchange): PacedResponse {
  return new PacedResponse(exchange, { contentType: 'text/event-stream', heartbeat: ': waiting\n\n' });
}

/** One event without a name. */
export function dataEvent(value: unknown): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}

export const lastEvent = 'data: [DONE]\n\n';
