import { type GenerateRequest, limits } from '@hearth/protocol';
import * as z from 'zod';
import { unsupported } from '../api-error.js';
import { Attachments } from '../attachments.js';
import { turn } from '../blocks.js';
import { type Exchange, readJson } from '../exchange.js';
import { type ServedModel, servedModel } from '../models.js';
import { readFields, toGenerateRequest } from '../read-fields.js';
import { answer, answerLoaded } from './answer.js';
import { plainName } from './chat.js';
import {
  formatField,
  formatSchema,
  optionFields,
  optionsSchema,
  thinkField,
  thinkSchema,
} from './options.js';

const generateSchema = z.strictObject({
  model: z.string().max(256),
  prompt: z.string().default(''),
  suffix: z.string().optional(),
  system: z.string().optional(),
  images: z.array(z.string()).max(limits.attachments).optional(),
  raw: z.boolean().default(false),
  stream: z.boolean().default(true),
  format: formatSchema.optional(),
  options: optionsSchema.default({}),
  think: thinkSchema.optional(),
  keep_alive: z.union([z.string(), z.number()]).optional(),
});
type GenerateBody = z.output<typeof generateSchema>;

/** `POST /api/generate`: an answer to `prompt`, or with `raw` its continuation, or with `suffix` what is between. */
export async function generate(exchange: Exchange): Promise<void> {
  const body = readFields(generateSchema, await readJson(exchange));
  const model = servedModel(exchange.daemon, plainName(body.model));
  if (body.prompt === '' && body.suffix === undefined && body.images === undefined) {
    answerLoaded(exchange, body.model, { response: '' });
    return;
  }
  await answer(
    exchange,
    generateRequest(body, model),
    {
      model: body.model,
      piece: (piece) => {
        if (piece.kind === 'thinking') return { response: '', thinking: piece.text };
        return { response: piece.kind === 'token' ? piece.text : '' };
      },
      end: (done, isStream) =>
        isStream
          ? { response: '' }
          : { response: done.text, ...(done.thinking === undefined ? {} : { thinking: done.thinking }) },
    },
    body.stream,
  );
}

function generateRequest(body: GenerateBody, model: ServedModel): GenerateRequest {
  const { prompt, suffix, system, images = [], raw } = body;
  const common = {
    ...optionFields(body.options, model),
    model: plainName(body.model),
    response_format: formatField(body.format),
  };
  if (raw || (suffix !== undefined && suffix !== '')) {
    if (images.length > 0) throw unsupported('images', 'They go with a prompt that is a question.');
    return toGenerateRequest({ ...common, prompt, ...(raw ? {} : { suffix, class: 'interactive' }) });
  }
  const attachments = new Attachments();
  const blocks = [
    ...images.map((data) => attachments.add('image', data)),
    { type: 'text' as const, text: prompt },
  ];
  return toGenerateRequest({
    ...common,
    messages: [
      ...(system === undefined || system === '' ? [] : [{ role: 'system', content: system }]),
      turn('user', blocks),
    ],
    attachments: attachments.list.length === 0 ? undefined : attachments.list,
    thinking: thinkField(body.think),
  });
}
