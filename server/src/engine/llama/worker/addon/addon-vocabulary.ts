import type { LlamaModel, Token } from 'node-llama-cpp';
import type { Vocabulary } from '../prompting/vocabulary.js';

/** The vocabulary of a model as node-llama-cpp has it. */
export function addonVocabulary(model: LlamaModel): Vocabulary {
  const { tokens } = model;
  const controlTokens = findControlTokens(model);
  const metadata = (key: string): unknown => {
    let value: unknown = model.fileInfo.metadata;
    for (const part of key.split('.')) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
      value = Reflect.get(value, part);
    }
    return value;
  };
  const tokenId = (key: string, ...texts: readonly string[]): number | undefined => {
    const given = metadata(`tokenizer.ggml.${key}`);
    if (typeof given === 'number') return given;
    return texts.map((text) => controlTokens.get(text)).find((token) => token !== undefined);
  };
  return {
    special: {
      begin: tokens.bos ?? undefined,
      end: tokens.eos ?? undefined,
      endOfTurn: tokens.eot ?? undefined,
      addBegin: tokens.shouldPrependBosToken,
      infill: {
        prefix: tokens.infill.prefix ?? undefined,
        suffix: tokens.infill.suffix ?? undefined,
        middle: tokens.infill.middle ?? undefined,
        repository: tokenId('fim_rep_token_id', '<|repo_name|>', '<repo_name>', '<reponame>'),
        fileSeparator: tokenId('fim_sep_token_id', '<|file_sep|>', '<file_sep>', '<filename>'),
      },
    },
    controlTokens,
    metadata: (key) => {
      const value = metadata(key);
      return typeof value === 'string' ? value : undefined;
    },
    tokenize: (text, marks) => model.tokenize(text, marks === 'power'),
  };
}

/** Takes 4 µs a token, so it is done once, at the load. */
function findControlTokens(model: LlamaModel): ReadonlyMap<string, number> {
  const found = new Map<string, Token>();
  for (const token of model.iterateAllTokens()) {
    const { control, unknown } = model.getTokenAttributes(token);
    const text = control || unknown ? model.detokenize([token], true) : '';
    if (text !== '') found.set(text, token);
  }
  return found;
}
