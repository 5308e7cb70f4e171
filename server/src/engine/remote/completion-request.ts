import type { ChatInput, OutputFormat, ResolvedGeneration, Sampling } from '@hearth/protocol';
import { EngineFailure } from '../engine.js';
import { chatMessages } from './chat-messages.js';

/** What to ask an upstream: a path below its base, and a JSON body. */
export interface CompletionRequest {
  readonly path: '/v1/chat/completions' | '/v1/completions';
  readonly body: Fields;
}

export interface RequestStyle {
  /** The upstream's own name of the model. */
  readonly model: string;
  /** Whether it knows what llama.cpp and vLLM have beside OpenAI's API: `top_k`, `min_p`, `grammar` and more. */
  readonly extensions: boolean;
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * A generation in the words of OpenAI's API.
 *
 * @throws EngineFailure `unsupported` that names what the upstream has no words for. Nothing is left out in silence but
 *   `top_k` and `min_p`: every request has them, most by default.
 */
export function completionRequest(request: ResolvedGeneration, style: RequestStyle): CompletionRequest {
  refuseUnsupported(request, style);
  const { input, sampling, format } = request;
  const common = {
    model: style.model,
    stream: true,
    stream_options: { include_usage: true },
    ...samplingFields(sampling),
    ...(style.extensions ? extensionFields(sampling) : {}),
    ...formatFields(format),
  };
  switch (input.kind) {
    case 'chat':
      return {
        path: '/v1/chat/completions',
        body: { ...common, messages: chatMessages(input.messages), ...toolFields(input) },
      };
    case 'raw':
      return { path: '/v1/completions', body: { ...common, prompt: input.prompt } };
    case 'infill':
      return { path: '/v1/completions', body: { ...common, prompt: input.prefix, suffix: input.suffix } };
  }
}

function samplingFields(sampling: Sampling): Fields {
  const { penalties, logitBias } = sampling;
  return {
    max_tokens: sampling.maxTokens,
    temperature: sampling.temperature,
    top_p: sampling.topP,
    ...(sampling.seed === undefined ? {} : { seed: sampling.seed }),
    ...(sampling.stop.length === 0 ? {} : { stop: sampling.stop }),
    ...(penalties.presence === 0 ? {} : { presence_penalty: penalties.presence }),
    ...(penalties.frequency === 0 ? {} : { frequency_penalty: penalties.frequency }),
    ...(logitBias.length === 0
      ? {}
      : { logit_bias: Object.fromEntries(logitBias.map(({ token, bias }) => [String(token), bias])) }),
  };
}

/** llama.cpp's names, most of which vLLM shares. */
function extensionFields({ topK, minP, typicalP, penalties, dry, xtc, mirostat }: Sampling): Fields {
  return {
    top_k: topK,
    min_p: minP,
    ...(typicalP === 1 ? {} : { typical_p: typicalP }),
    ...(penalties.repeat === 1 ? {} : { repeat_penalty: penalties.repeat, repeat_last_n: penalties.lastN }),
    ...(dry === undefined
      ? {}
      : {
          dry_multiplier: dry.multiplier,
          dry_base: dry.base,
          dry_allowed_length: dry.allowedLength,
          dry_penalty_last_n: dry.lastN,
        }),
    ...(xtc === undefined ? {} : { xtc_probability: xtc.probability, xtc_threshold: xtc.threshold }),
    ...(mirostat === undefined
      ? {}
      : { mirostat: mirostat.version, mirostat_tau: mirostat.tau, mirostat_eta: mirostat.eta }),
  };
}

function formatFields(format: OutputFormat): Fields {
  switch (format.kind) {
    case 'text':
      return {};
    case 'gbnf':
      return { grammar: format.grammar };
    case 'json':
      return { response_format: { type: 'json_object' } };
    case 'json_schema': {
      const { schema } = format;
      return {
        response_format: { type: 'json_schema', json_schema: { name: 'answer', schema, strict: true } },
      };
    }
  }
}

function toolFields({ tools, toolChoice, parallelToolCalls }: ChatInput): Fields {
  if (tools.length === 0) return {};
  return {
    tools: tools.map(({ name, description, input_schema: parameters }) => ({
      type: 'function',
      function: { name, description, parameters },
    })),
    tool_choice:
      toolChoice.kind === 'named'
        ? { type: 'function', function: { name: toolChoice.name } }
        : toolChoice.kind,
    ...(parallelToolCalls ? {} : { parallel_tool_calls: false }),
  };
}

function refuseUnsupported(
  { input, sampling, format }: ResolvedGeneration,
  { extensions }: RequestStyle,
): void {
  const chat = input.kind === 'chat' ? input : undefined;
  const media =
    chat?.messages.flatMap(({ content }) => content.filter((block) => block.kind === 'media')) ?? [];
  const rules: readonly (readonly [boolean, string])[] = [
    // The API gives tokens as text, where the protocol has their ids.
    [sampling.logprobs !== undefined, 'logprobs'],
    [chat?.thinking !== undefined, 'thinking'],
    [chat?.thinkingBudget !== undefined, 'thinking_budget'],
    [media.some(({ medium }) => medium !== 'image'), 'audio and video'],
    [input.kind === 'infill' && input.files.length > 0, 'files'],
    [format.kind === 'gbnf' && !extensions, 'grammar'],
    [sampling.typicalP !== 1 && !extensions, 'typical_p'],
    [sampling.penalties.repeat !== 1 && !extensions, 'repeat_penalty'],
    [sampling.dry !== undefined && !extensions, 'dry_multiplier'],
    [sampling.xtc !== undefined && !extensions, 'xtc_probability'],
    [sampling.mirostat !== undefined && !extensions, 'mirostat'],
  ];
  const fields = rules.flatMap(([used, name]) => (used ? [name] : []));
  if (fields.length === 0) return;
  throw new EngineFailure(
    'unsupported',
    `This backend is a remote service that takes no ${fields.join(', ')}. Leave it out.`,
  );
}
