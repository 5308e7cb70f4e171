import type { HttpError } from '../../http/http-error.js';
import { anthropicError } from './anthropic/error-body.js';
import { anthropicRoutes } from './anthropic/routes.js';
import type { ApiRoute } from './exchange.js';
import { llamaCppRoutes } from './llama-cpp/routes.js';
import { ollamaError, ollamaRoutes } from './ollama/routes.js';
import { openAiError } from './open-ai/error-body.js';
import { openAiRoutes } from './open-ai/routes.js';

/** Every route of every API. */
export const routes: readonly ApiRoute[] = [
  ...openAiRoutes,
  ...anthropicRoutes,
  ...ollamaRoutes,
  ...llamaCppRoutes,
];

/** How the API to which `path` belongs writes an error. */
export function errorBodyFor(path: string): (error: HttpError) => unknown {
  if (path.startsWith('/v1/messages')) return anthropicError;
  return path.startsWith('/api/') ? ollamaError : openAiError;
}
