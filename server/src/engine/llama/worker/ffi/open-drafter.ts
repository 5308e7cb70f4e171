import type { LoadOrder } from '../messages.js';
import { LoadError } from '../load.js';
import { FfiContext } from './ffi-context.js';
import { FfiDrafter } from './ffi-drafter.js';
import type { FfiDrafterOptions } from './ffi-drafter.js';
import type { FfiModel } from './ffi-model.js';
import { loadModelFile } from './load-model.js';
import { testContext } from './self-test.js';
import { FfiUnavailable } from './unavailable.js';

/** Tokens of one of its decodes at most: a piece of a text, and a token of each stream. */
const batchSize = 512;
/** Tokens of the two vocabularies that are compared, spread over all of them. */
const compared = 4096;

/**
 * Loads the model that guesses ahead for `target`.
 *
 * @returns the drafter, or, in a sentence without a path, why there is none.
 */
export async function openDrafter(
  target: FfiModel,
  draft: NonNullable<LoadOrder['draft']>,
  order: LoadOrder,
  options: Omit<FfiDrafterOptions, 'name' | 'sequences'>,
): Promise<FfiDrafter | string> {
  const { native } = target;
  let model: FfiModel;
  try {
    model = await loadModelFile(native, { path: draft.path, gpuLayers: 0 });
  } catch (error) {
    if (error instanceof LoadError) return error.message;
    throw error;
  }
  const difference = compareVocabularies(target, model);
  const context =
    difference === undefined
      ? await FfiContext.open(model, {
          sequences: order.sequences,
          contextSize: order.contextSize,
          batchSize,
          outputs: order.sequences,
          threads: 1,
        })
      : undefined;
  if (context === undefined) {
    model.free();
    return difference ?? 'There is not enough free memory for it.';
  }
  try {
    await testContext(context, model.special('begin') ?? model.special('end') ?? 0);
  } catch (error) {
    if (!(error instanceof FfiUnavailable)) throw error;
    await context.free();
    model.free();
    return 'It could be loaded, and computes nothing of use.';
  }
  return new FfiDrafter(model, context, { ...options, name: draft.name, sequences: order.sequences });
}

/** Why the two models do not write in the same tokens; undefined: they do. */
function compareVocabularies(target: FfiModel, draft: FfiModel): string | undefined {
  const size = target.vocabularySize;
  if (draft.vocabularySize !== size) {
    return `Its vocabulary has ${draft.vocabularySize} tokens, and the model's has ${size}: they must be the same.`;
  }
  const step = Math.max(1, Math.floor(size / compared));
  for (let token = 0; token < size; token += step) {
    if (
      !target.readPiece(token).equals(draft.readPiece(token)) ||
      target.isEnd(token) !== draft.isEnd(token)
    ) {
      return "Its vocabulary is not the model's: they must be the same.";
    }
  }
  return undefined;
}
