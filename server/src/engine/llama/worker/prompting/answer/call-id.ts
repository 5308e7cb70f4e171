import { createHash } from 'node:crypto';

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
/** What the strictest chat template wants. */
const length = 9;

/** Names for the calls of one answer. An answer that is made again has the same; another of a conversation does not. */
export function callIds(seed: number, promptTokens: number): () => string {
  let count = 0;
  return () => {
    const hash = createHash('sha256').update(`${seed} ${promptTokens} ${count}`).digest();
    count += 1;
    return Array.from(hash.subarray(0, length), (byte) => alphabet[byte % alphabet.length] ?? 'A').join('');
  };
}
