import { ApiError } from '../api-error.js';
import { answerJson, type Exchange } from '../exchange.js';
import { type ListedModel, listModels } from '../models.js';

/** `GET /v1/models` */
export function modelList(exchange: Exchange): void {
  answerJson(exchange, { object: 'list', data: listModels(exchange.daemon).map(toModel) });
}

/** `GET /v1/models/:model` */
export function modelById(exchange: Exchange): void {
  const id = exchange.parameters['model'];
  const model = listModels(exchange.daemon).find((one) => one.id === id);
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

/** A model as OpenAI lists it. There is no date of a model here: `created` is always 0. */
function toModel({ id, contextSize }: ListedModel) {
  return { id, object: 'model', created: 0, owned_by: 'hearth', context_length: contextSize } as const;
}
