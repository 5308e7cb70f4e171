/** The tools of the protocol's `agentTools`, named here so that activation need not load their schemas. */
export const toolNames = ['hearth_complete', 'hearth_summarize', 'hearth_classify', 'hearth_embed'] as const;

/** What VS Code says while a tool runs. */
export const invocationMessages: Readonly<Record<(typeof toolNames)[number], string>> = {
  hearth_complete: 'Asking the local model',
  hearth_summarize: 'Summarizing with the local model',
  hearth_classify: 'Classifying with the local model',
  hearth_embed: 'Embedding with the local model',
};
