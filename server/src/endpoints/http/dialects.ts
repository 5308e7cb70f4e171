import type { HttpError } from '../../http/http-error.js';
import type { ApiRoute } from './exchange.js';
import { openAiError } from './open-ai/error-body.js';
import { openAiRoutes } from './open-ai/routes.js';

/** Every route of every API. */
export const routes: readonly ApiRoute[] = [...openAiRoutes];

/** How the API to which `path` belongs writes an error. */
export function errorBodyFor(_path: string): (error: HttpError) => unknown {
  return openAiError;
}
