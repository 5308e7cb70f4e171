import type { ModelEntry } from '@hearth/protocol';
import * as z from 'zod';
import { ApiError } from '../api-error.js';
import { answerJson, type Exchange, readJson } from '../exchange.js';
import { findModel, type ListedModel } from '../models.js';
import { readFields } from '../read-fields.js';
import { plainName } from './chat.js';

const showSchema = z.strictObject({
  model: z.string().max(256).optional(),
  name: z.string().max(256).optional(),
  verbose: z.boolean().optional(),
});

/**
 * `POST /api/show`: what the header of the model's file says, and the context that a request can use. Models of the store are
 * known whether they are loaded or not. `template` stays empty: Ollama's are in another language than the file's own.
 */
export async function show(exchange: Exchange): Promise<void> {
  const body = readFields(showSchema, await readJson(exchange));
  const name = plainName(body.model ?? body.name ?? '');
  const model = await findModel(exchange.daemon, name);
  if (model === undefined)
    throw new ApiError(404, 'model_not_found', 'There is no such model: see /api/tags.');
  answerJson(exchange, describe(model));
}

/** What clients read of a model. */
function describe(model: ListedModel) {
  const { displayName, served, entry } = model;
  const architecture = entry?.architecture;
  const context = served?.contextSize ?? entry?.contextLength;
  return {
    modelfile: '',
    parameters: context === undefined ? '' : `num_ctx ${context}`,
    template: '',
    details: detailsOf(entry),
    model_info: {
      'general.basename': displayName,
      ...(architecture === undefined ? {} : { 'general.architecture': architecture }),
      ...(entry?.parameters === undefined ? {} : { 'general.parameter_count': entry.parameters }),
      ...(context === undefined ? {} : { [`${architecture ?? 'hearth'}.context_length`]: context }),
      ...(served?.dimensions === undefined
        ? {}
        : { [`${architecture ?? 'hearth'}.embedding_length`]: served.dimensions }),
    },
    capabilities: capabilitiesOf(model),
  };
}

function capabilitiesOf({ served, entry }: ListedModel): readonly string[] {
  if (entry?.purpose === 'embed') return ['embedding'];
  return [
    'completion',
    ...((served?.infill ?? entry?.infill) === true ? ['insert'] : []),
    // Calls are made by grammar, so that every model with a chat template can make them.
    ...((served?.chat ?? entry?.chatTemplate) === true ? ['tools'] : []),
  ];
}

/** The part of a model's description that lists have too. */
export function detailsOf(entry: ModelEntry | undefined) {
  const family = entry?.architecture ?? '';
  return {
    parent_model: '',
    format: 'gguf',
    family,
    families: family === '' ? [] : [family],
    parameter_size: entry?.parameters === undefined ? '' : sizeText(entry.parameters),
    quantization_level: entry?.quantization ?? '',
  };
}

/** Such as `7.6B` and `494.0M`, as Ollama writes it. */
function sizeText(parameters: number): string {
  if (parameters >= 1e9) return `${(parameters / 1e9).toFixed(1)}B`;
  if (parameters >= 1e6) return `${(parameters / 1e6).toFixed(1)}M`;
  return parameters >= 1e3 ? `${(parameters / 1e3).toFixed(0)}K` : String(parameters);
}
