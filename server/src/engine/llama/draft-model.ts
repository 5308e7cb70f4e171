import { toHearthError } from '@hearth/protocol';
import { openTrustedFile } from '../../models/trust/trusted-file.js';
import type { LlamaEngineOptions } from './engine-options.js';
import type { Incarnation } from './incarnation.js';

/**
 * The model that guesses ahead for another one: in use and opened as that one is. Nothing about it keeps the other from
 * its work; where it cannot be used, the reason stands in for it.
 */
export class DraftModel {
  readonly #options: LlamaEngineOptions;
  /** Held until {@link release}. */
  #claim: { release(): void } | undefined;
  #problem: string | undefined;

  constructor(options: LlamaEngineOptions) {
    this.#options = options;
  }

  /** Its file, to be closed by the caller. Never rejects; undefined: none was asked for. */
  async open(signal: AbortSignal): Promise<Incarnation['draft']> {
    const { draftModel, privateDirectory, claim, driver } = this.#options;
    if (draftModel === undefined || 'problem' in draftModel) return draftModel;
    if (driver === 'addon')
      return {
        problem: 'node-llama-cpp drives the model, and tokens are guessed by the other driver only.',
      };
    if (this.#problem !== undefined) return { problem: this.#problem };
    try {
      this.#claim ??= await claim?.(draftModel);
      return await openTrustedFile(draftModel, {
        signal,
        ...(privateDirectory === undefined ? {} : { privateDirectory }),
      });
    } catch (error) {
      this.release();
      return { problem: toHearthError(error).message };
    }
  }

  /** Why the opened file is not what the worker may keep; it is not opened again. Undefined: it may. */
  async changed(draft: Incarnation['draft']): Promise<string | undefined> {
    if (draft === undefined || 'problem' in draft) return undefined;
    try {
      await draft.assertUnchanged();
    } catch (error) {
      this.#problem = toHearthError(error).message;
      this.release();
    }
    return this.#problem;
  }

  /** It is no longer in use. */
  release(): void {
    this.#claim?.release();
    this.#claim = undefined;
  }
}
