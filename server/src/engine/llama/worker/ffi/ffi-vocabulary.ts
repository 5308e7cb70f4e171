import type { Vocabulary } from '../prompting/vocabulary.js';
import type { FfiModel } from './ffi-model.js';

/** The vocabulary of a model as llama.cpp has it. */
export function ffiVocabulary(model: FfiModel): Vocabulary {
  return {
    special: {
      begin: model.special('begin'),
      end: model.special('end'),
      endOfTurn: model.special('endOfTurn'),
      addBegin: model.addsBegin,
      infill: {
        prefix: model.special('infillPrefix'),
        suffix: model.special('infillSuffix'),
        middle: model.special('infillMiddle'),
        repository: model.special('infillRepository'),
        fileSeparator: model.special('infillSeparator'),
      },
    },
    controlTokens: model.controlTokens(),
    metadata: (key) => model.metadata(key),
    tokenize: (text, marks) => model.tokenize(text, marks === 'power'),
  };
}
