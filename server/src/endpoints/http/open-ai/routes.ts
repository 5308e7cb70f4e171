import type { ApiRoute } from '../exchange.js';
import { chatCompletions } from './chat.js';
import { textCompletions } from './completions.js';
import { embeddings } from './embeddings.js';
import { modelById, modelList } from './models.js';
import { responses } from './responses.js';

/** OpenAI's API, as far as it is spoken here. */
export const openAiRoutes: readonly ApiRoute[] = [
  { method: 'POST', path: '/v1/chat/completions', handle: chatCompletions },
  { method: 'POST', path: '/v1/completions', handle: textCompletions },
  { method: 'POST', path: '/v1/embeddings', handle: embeddings },
  { method: 'POST', path: '/v1/responses', handle: responses },
  { method: 'GET', path: '/v1/models', handle: modelList },
  { method: 'GET', path: '/v1/models/:model', handle: modelById },
];
