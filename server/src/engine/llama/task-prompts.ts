import type { EmbedRequest } from '@hearth/protocol';

type Task = NonNullable<EmbedRequest['task']>;

/**
 * What models were trained to see before a text, by architecture and by what the vector is for. Sources: the model
 * cards of EmbeddingGemma and of Nomic Embed Text.
 */
const prompts: Readonly<Record<string, Readonly<Partial<Record<Task, string>>>>> = {
  'gemma-embedding': {
    retrieval_query: 'task: search result | query: ',
    retrieval_document: 'title: none | text: ',
    similarity: 'task: sentence similarity | query: ',
    classification: 'task: classification | query: ',
    clustering: 'task: clustering | query: ',
    question_answering: 'task: question answering | query: ',
    fact_verification: 'task: fact checking | query: ',
    code_retrieval_query: 'task: code retrieval | query: ',
  },
  'nomic-bert': {
    retrieval_query: 'search_query: ',
    retrieval_document: 'search_document: ',
    classification: 'classification: ',
    clustering: 'clustering: ',
  },
};

/** The prompt that goes before each text; empty where the model has none for the task. */
export function taskPrompt(architecture: string | undefined, task: EmbedRequest['task']): string {
  if (architecture === undefined || task === undefined) return '';
  return prompts[architecture]?.[task] ?? '';
}
