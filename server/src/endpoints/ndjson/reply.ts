import type { HearthError } from '@hearth/protocol';
import type { GenerationEvent } from '../../daemon-api.js';

/** How one request is answered in frames. Exactly one of `tell` with `done` and {@link fail} is the last. */
export interface Reply {
  tell(event: GenerationEvent): Promise<void>;
  fail(error: HearthError): Promise<void>;
  /** No more frames. May be called again. */
  end(): void;
}
