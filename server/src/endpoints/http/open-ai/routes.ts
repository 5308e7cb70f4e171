import type { ApiRoute } from '../exchange.js';
import { chatCompletions } from './chat.js';
import { modelById, modelList } from './models.js';

/** OpenAI's API, as far as it is spoken here. */
export const openAiRoutes: readonly ApiRoute[] = [
  { method: 'POST', path: '/v1/chat/completions', handle: chatCompletions },
  { method: 'GET', path: '/v1/models', handle: modelList },
  { method: 'GET', path: '/v1/models/:model', handle: modelById },
];
