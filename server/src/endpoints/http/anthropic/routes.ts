import type { ApiRoute } from '../exchange.js';
import { countTokens, messages } from './messages.js';

/** Anthropic's API, as far as it is spoken here. */
export const anthropicRoutes: readonly ApiRoute[] = [
  { method: 'POST', path: '/v1/messages', handle: messages },
  { method: 'POST', path: '/v1/messages/count_tokens', handle: countTokens },
];
