import { sendJson } from '../../../http/serve-http.js';
import { answerJson, type Exchange } from '../exchange.js';
import { ApiError, retryHeaders } from '../api-error.js';
import { findModel } from '../models.js';

/** `GET /health`: 200 where a request would be served, 503 where not. Says nothing else, and needs no token. */
export function health({ daemon, response }: Exchange): void {
  const { state } = daemon.health();
  if (state === 'ready') {
    sendJson(response, 200, { status: 'ok' });
    return;
  }
  for (const [name, value] of Object.entries(retryHeaders(1000))) response.setHeader(name, value);
  sendJson(response, 503, { error: { code: 503, message: texts[state], type: 'unavailable_error' } });
}

/** `GET /props`: what of llama.cpp's properties holds here. */
export async function props(exchange: Exchange): Promise<void> {
  const { daemon } = exchange;
  const model = await findModel(daemon, undefined);
  const { admission, version } = daemon.health();
  answerJson(exchange, {
    default_generation_settings: { n_ctx: model?.served?.contextSize ?? 0 },
    total_slots: admission.activePermits,
    model_alias: model?.id ?? '',
    build_info: `hearth ${version}`,
  });
}

/** `GET /metrics`: the daemon's own, in Prometheus's form, where it keeps any. */
export async function metrics({ response, settings }: Exchange): Promise<void> {
  if (settings.metrics === undefined)
    throw new ApiError(404, 'not_found', 'No metrics are kept: start the daemon with --metrics-port.');
  const { text, contentType } = await settings.metrics();
  response.writeHead(200, { 'Content-Type': contentType, 'Cache-Control': 'no-store' });
  response.end(text);
}

/** `GET /`: what clients look for that only want to know whether somebody is there. */
export function greeting({ response }: Exchange): void {
  response.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8' });
  response.end('Hearth is running');
}

const texts = {
  starting: 'Loading model',
  loading: 'Loading model',
  failed: 'No backend is available',
  draining: 'Shutting down',
} as const;
