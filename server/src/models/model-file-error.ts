import { HearthError } from '@hearth/protocol';

/** What can be wrong with a model file before native code has seen it. */
export type ModelFileProblem =
  | 'not_found'
  | 'not_a_file'
  | 'not_readable'
  | 'not_gguf'
  | 'truncated'
  | 'corrupt'
  | 'checksum'
  | 'changed'
  | 'wrong_parts'
  | 'no_space';

const messages: Record<ModelFileProblem, string> = {
  not_found: 'There is no such model file. Check its path.',
  not_a_file:
    'The model path is a directory or another thing that is not a file. Give the path of a .gguf file.',
  not_readable: 'The model file cannot be read. Check its permissions.',
  not_gguf: 'The model file is not in GGUF format. Give a .gguf file, versions 2 and 3 are understood.',
  truncated: 'The model file ends too early; most often its download was cut off. Download it again.',
  corrupt: 'The model file is damaged: its header contradicts itself. Download it again.',
  checksum:
    'The model file is not the one that its checksum speaks of, and is not used. Get it again, or choose another model.',
  changed:
    'The model file was changed while it was being loaded. Wait until nothing writes to it, then try again.',
  wrong_parts:
    'The model is kept in several files, and not all of them are there, or not all belong to it. Put them beside each other under the names that they came with, or get the model again.',
  no_space:
    'The disk has no room for the copy of the model that is checked and loaded. Make room, or keep the file where nobody else may write to it.',
};

/**
 * A model file that must not be loaded. The message says what to do and never holds the path; `detail` says which
 * part of the file is wrong, for whoever made it.
 */
export class ModelFileError extends HearthError {
  readonly problem: ModelFileProblem;

  constructor(problem: ModelFileProblem, options: { detail?: string; cause?: unknown } = {}) {
    const detail = options.detail === undefined ? '' : ` (${options.detail})`;
    super(
      problem === 'not_found' ? 'model_not_found' : 'model_load_failed',
      `${messages[problem]}${detail}`,
      {
        cause: options.cause,
      },
    );
    this.problem = problem;
  }
}
