import type { TokenLogprob } from '@hearth/protocol';

/** Log-probabilities as a chat completion has them. */
export function chatLogprobs(tokens: readonly TokenLogprob[]) {
  return tokens.map(({ text, logprob, alternatives }) => ({
    ...entry({ text, logprob }),
    top_logprobs: alternatives.map(entry),
  }));
}

/** Log-probabilities as a text completion has them. */
export function textLogprobs(tokens: readonly TokenLogprob[], start: number) {
  let offset = start;
  return {
    tokens: tokens.map(({ text }) => text),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(({ alternatives }) =>
      Object.fromEntries(alternatives.map(({ text, logprob }) => [text, logprob])),
    ),
    text_offset: tokens.map(({ text }) => {
      offset += text.length;
      return offset - text.length;
    }),
  };
}

function entry({ text, logprob }: { readonly text: string; readonly logprob: number }) {
  return { token: text, logprob, bytes: [...Buffer.from(text)] };
}
