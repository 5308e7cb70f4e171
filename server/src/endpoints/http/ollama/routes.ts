import type { HttpError } from '../../../http/http-error.js';
import type { ApiRoute } from '../exchange.js';
import { chat } from './chat.js';
import { generate } from './generate.js';
import { embedding, running, tags, version } from './models.js';
import { show } from './show.js';

/** Ollama's API, as far as it is spoken here: what runs models, not what fetches or makes them. */
export const ollamaRoutes: readonly ApiRoute[] = [
  { method: 'POST', path: '/api/chat', handle: chat },
  { method: 'POST', path: '/api/generate', handle: generate },
  { method: 'POST', path: '/api/embed', handle: embedding },
  { method: 'POST', path: '/api/show', handle: show },
  { method: 'GET', path: '/api/tags', handle: tags },
  { method: 'GET', path: '/api/ps', handle: running },
  { method: 'GET', path: '/api/version', handle: version },
];

/** `error` as Ollama tells it. */
export function ollamaError(error: HttpError) {
  return { error: error.message };
}
