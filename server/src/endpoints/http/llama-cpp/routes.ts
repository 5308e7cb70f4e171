import type { ApiRoute } from '../exchange.js';
import { completion, infill } from './infill.js';
import { greeting, health, metrics, props } from './state.js';
import { ranking, text, tokens } from './tokens.js';

/** llama.cpp's own routes, as far as they are spoken here. */
export const llamaCppRoutes: readonly ApiRoute[] = [
  { method: 'GET', path: '/health', open: true, handle: health },
  { method: 'GET', path: '/', open: true, handle: greeting },
  { method: 'GET', path: '/props', handle: props },
  { method: 'GET', path: '/metrics', handle: metrics },
  { method: 'POST', path: '/infill', handle: infill },
  { method: 'POST', path: '/completion', handle: completion },
  { method: 'POST', path: '/tokenize', handle: tokens },
  { method: 'POST', path: '/detokenize', handle: text },
  { method: 'POST', path: '/rerank', handle: ranking },
  { method: 'POST', path: '/v1/rerank', handle: ranking },
];
