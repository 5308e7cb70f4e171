import {
  type GenerateRequest,
  type HearthError,
  type ResponseFrame,
  samplingDefaults,
  toErrorFrame,
  toFullErrorFrame,
} from '@hearth/protocol';
import type { GenerationEvent } from '../../daemon-api.js';
import { toDoneFrame, toWireCall, toWireLogprob } from './done-frame.js';
import type { Reply } from './reply.js';

/** A request that asked for events hears something at least this often, in milliseconds, while nothing else comes. */
const heartbeatMs = 10_000;

/**
 * The frames that answer one request. A request that did not ask for events gets the frames and the codes of
 * version 1 and nothing else.
 */
export class Answer implements Reply {
  readonly #request: GenerateRequest;
  readonly #send: (frame: ResponseFrame) => Promise<void>;
  readonly #since = performance.now();
  readonly #heart: NodeJS.Timeout | undefined;
  #stage: 'new' | 'queued' | 'prefill' | 'decode' = 'new';

  /** @param send writes one frame at the peer's pace; never rejects. */
  constructor(request: GenerateRequest, send: (frame: ResponseFrame) => Promise<void>) {
    this.#request = request;
    this.#send = send;
    if (request.events !== true) return;
    this.#heart = setInterval(() => void this.#beat(), heartbeatMs).unref();
  }

  async tell(event: GenerationEvent): Promise<void> {
    this.#heart?.refresh();
    const { id } = this.#request;
    switch (event.kind) {
      case 'queued':
        await this.#tellQueued(event.position, event.expectedWaitMs);
        return;
      case 'started':
        if (this.#stage === 'new') await this.#tellQueued(0, 0);
        this.#stage = 'prefill';
        await this.#send({ id, type: 'prefill', backend: event.backend });
        return;
      case 'prefill':
        await this.#send({ id, type: 'prefill', backend: event.backend, progress: event.progress });
        return;
      case 'loading':
        if (this.#stage === 'new') await this.#tellQueued(0, undefined);
        await this.#tellEvent({ type: 'loading', id, model: event.model, ...progressOf(event) });
        return;
      case 'token':
        this.#stage = 'decode';
        if (!this.#isStreamed) return;
        await this.#send({
          id,
          type: 'token',
          content: event.text,
          ...(event.logprobs === undefined ? {} : { logprobs: event.logprobs.map(toWireLogprob) }),
        });
        return;
      case 'thinking':
        this.#stage = 'decode';
        if (this.#isStreamed) await this.#tellEvent({ type: 'thinking', id, content: event.text });
        return;
      case 'tool_call':
        this.#stage = 'decode';
        await this.#tellEvent({ type: 'tool_call', id, ...toWireCall(event.call) });
        return;
      case 'resumed':
        await this.#tellEvent({ type: 'resumed', id, completion_tokens: event.completionTokens });
        return;
      case 'done':
        this.end();
        await this.#send(toDoneFrame(this.#request, event, this.#isStreamed));
    }
  }

  async fail(error: HearthError): Promise<void> {
    const { id, events } = this.#request;
    this.end();
    await this.#send(events === true ? toFullErrorFrame(id, error) : toErrorFrame(id, error));
  }

  /** No more frames. */
  end(): void {
    clearInterval(this.#heart);
  }

  get #isStreamed(): boolean {
    return this.#request.stream ?? samplingDefaults.stream;
  }

  /** A frame that version 1 does not know. */
  async #tellEvent(frame: ResponseFrame): Promise<void> {
    if (this.#request.events === true) await this.#send(frame);
  }

  async #tellQueued(position: number, expectedWaitMs: number | undefined): Promise<void> {
    const { id, class: jobClass = 'chat' } = this.#request;
    const wait = expectedWaitMs === undefined ? {} : { expected_wait_ms: expectedWaitMs };
    const isFirst = this.#stage === 'new';
    this.#stage = 'queued';
    if (isFirst) await this.#send({ id, type: 'accepted', class: jobClass, position, ...wait });
    else await this.#send({ id, type: 'queued', position, ...wait });
  }

  async #beat(): Promise<void> {
    const elapsed = Math.round(performance.now() - this.#since);
    const stage = this.#stage === 'new' ? 'queued' : this.#stage;
    await this.#send({ id: this.#request.id, type: 'heartbeat', stage, elapsed_ms: elapsed });
  }
}

function progressOf({ progress }: { readonly progress?: number }): { readonly progress?: number } {
  return progress === undefined ? {} : { progress };
}
