import { ApiError } from '../api-error.js';
import { answerJson, type Exchange } from '../exchange.js';
import { findModel, type ListedModel, listModels } from '../models.js';

/** `GET /v1/models`: what a request may name, loaded or not. */
export async function modelList(exchange: Exchange): Promise<void> {
  const models = await listModels(exchange.daemon);
  answerJson(exchange, { object: 'list', data: models.map(toModel) });
}

/** `GET /v1/models/:model` */
export async function modelById(exchange: Exchange): Promise<void> {
  const model = await findModel(exchange.daemon, exchange.parameters['model'] ?? '');
  if (model === undefined)
    throw new ApiError(
      404,
      'model_not_found',
      'There is no such model: GET /v1/models lists those that are.',
      {
        field: 'model',
      },
    );
  answerJson(exchange, toModel(model));
}

/**
 * A model as OpenAI lists it. There is no date of a model here: `created` is always 0. `context_length` is what a request can
 * use, which is known once the model is loaded.
 */
function toModel({ id, served }: ListedModel) {
  return {
    id,
    object: 'model',
    created: 0,
    owned_by: 'hearth',
    ...(served === undefined ? {} : { context_length: served.contextSize }),
  } as const;
}
