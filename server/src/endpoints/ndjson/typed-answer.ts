import {
  type GenerateRequest,
  HearthError,
  isJsonObject,
  samplingDefaults,
  toErrorFrame,
  toFullErrorFrame,
  type ToolCall,
  type TypedReplyFrame,
  typedReplyCodes,
  type TypedStopReason,
} from '@hearth/protocol';
import type { GenerationEvent } from '../../daemon-api.js';
import type { Reply } from './reply.js';

type Done = Extract<GenerationEvent, { kind: 'done' }>;

/** The frames of a typed reply (`wire_version`, behaviours.md 1.3): blocks, and an end without text. */
export class TypedAnswer implements Reply {
  readonly #request: GenerateRequest;
  readonly #send: (frame: TypedReplyFrame) => Promise<void>;

  /** @param send writes one frame at the peer's pace; never rejects. */
  constructor(request: GenerateRequest, send: (frame: TypedReplyFrame) => Promise<void>) {
    this.#request = request;
    this.#send = send;
  }

  async tell(event: GenerationEvent): Promise<void> {
    const { id } = this.#request;
    switch (event.kind) {
      case 'token':
        if (this.#isStreamed && event.text !== '')
          await this.#send({ id, type: 'frame', block: { type: 'text', delta: event.text } });
        return;
      case 'thinking':
        if (this.#isStreamed)
          await this.#send({ id, type: 'frame', block: { type: 'thinking', delta: event.text } });
        return;
      case 'tool_call':
        await this.#send({ id, type: 'frame', block: toToolUse(event.call) });
        return;
      case 'done':
        await this.#send({
          id,
          type: 'done',
          usage: { input_tokens: event.usage.prompt_tokens, output_tokens: event.usage.completion_tokens },
          stop_reason: stopReasonOf(event),
          backend: event.backend,
          tool_choice_unsatisfied: event.toolChoiceUnsatisfied ?? false,
        });
        return;
      case 'queued':
      case 'loading':
      case 'started':
      case 'prefill':
      case 'resumed':
        return;
    }
  }

  async fail(error: HearthError): Promise<void> {
    const { id, events } = this.#request;
    await this.#send(
      events === true ? toFullErrorFrame(id, error) : toErrorFrame(id, error, typedReplyCodes),
    );
  }

  end(): void {
    // It keeps nothing.
  }

  /** Calls of tools come as frames in any case. */
  get #isStreamed(): boolean {
    return this.#request.stream ?? samplingDefaults.stream;
  }
}

/** @throws HearthError `tool_call_malformed` where the arguments are no JSON object. */
function toToolUse({ id, name, arguments: text }: ToolCall) {
  const input = parseArguments(text);
  if (input !== undefined) return { type: 'tool_use', tool_call_id: id, name, input } as const;
  throw new HearthError(
    'tool_call_malformed',
    'The model called a tool with arguments that are no JSON object. Ask again, or another model.',
  );
}

function parseArguments(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function stopReasonOf({ stopReason, stopDetail }: Done): TypedStopReason {
  switch (stopReason) {
    case 'end':
      return stopDetail ?? 'end_turn';
    case 'length':
      return 'max_tokens';
    case 'cancelled':
    case 'error':
      return stopReason;
  }
}
