import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * Writes typing.json: keystrokes with the time before each. No person was recorded: the gaps come from a model of
 * typing with a fixed seed, whose figures are those of a practised typist (a median of 110 ms inside a word, longer
 * at the beginning of a word, much longer at the beginning of a line, one key in forty a mistake that is taken back).
 *
 *   node test/bench/traces/make-typing-trace.mjs
 */

/**
 * What is typed into each document, and what an engine that knows the project would have written there: the same for
 * the most part.
 */
const documents = [
  {
    name: 'cart.ts',
    before: 'interface Item {\n  readonly cents: number;\n  readonly quantity: number;\n}\n\n',
    typed:
      'export function total(items: readonly Item[]): number {\n  let sum = 0;\n  for (const item of items) sum += item.cents * item.quantity;\n  return sum;\n',
    known:
      'export function total(items: readonly Item[]): number {\n  let sum = 0;\n  for (const item of items) {\n    sum += item.cents * item.quantity;\n  }\n  return sum;\n',
    after: '}\n',
  },
  {
    name: 'queue.ts',
    before: 'export class Queue<T> {\n  #items: T[] = [];\n\n',
    typed:
      '  push(item: T): void {\n    this.#items.push(item);\n  }\n\n  get length(): number {\n    return this.#items.length;\n  }\n',
    known:
      '  push(item: T): void {\n    this.#items.push(item);\n  }\n\n  get size(): number {\n    return this.#items.length;\n  }\n',
    after: '}\n',
  },
  {
    name: 'words.py',
    before: 'import re\n\n\n',
    typed:
      'def count_words(text):\n    counts = {}\n    for word in re.findall(r"\\w+", text.lower()):\n        counts[word] = counts.get(word, 0) + 1\n    return counts\n',
    known:
      'def count_words(text):\n    counts = {}\n    for word in text.split():\n        counts[word] = counts.get(word, 0) + 1\n    return counts\n',
    after: '\n',
  },
  {
    name: 'retry.ts',
    before: "import { setTimeout as delay } from 'node:timers/promises';\n\n",
    typed:
      'export async function retry<T>(times: number, run: () => Promise<T>): Promise<T> {\n  for (let attempt = 1; ; attempt += 1) {\n    try {\n      return await run();\n',
    known:
      'export async function retry<T>(run: () => Promise<T>, times = 3): Promise<T> {\n  for (let attempt = 1; ; attempt += 1) {\n    try {\n      return await run();\n',
    after:
      '    } catch (error) {\n      if (attempt === times) throw error;\n      await delay(100 * attempt);\n    }\n  }\n}\n',
  },
];

let state = 20_261_121;
/** A number in [0, 1): mulberry32. */
function random() {
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
}

/** A gap around `median`, as skewed as the gaps of people are: log-normal. @param {number} median */
function gap(median) {
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Math.round(Math.min(1500, Math.max(35, median * Math.exp(0.4 * normal))));
}

const inWord = 110;
const traces = documents.map(({ name, before, typed, known, after }) => {
  /** @type {[string, number][]} each key, `\b` for backspace, with the milliseconds before it */
  const keys = [];
  let last = '\n';
  for (const key of typed) {
    const atLine = last === '\n' && key !== ' ';
    const median = atLine ? 5 * inWord : /\W/.test(last) ? 1.5 * inWord : inWord;
    // Indentation comes by itself in any editor, as fast as it can be drawn.
    const indents = key === ' ' && (last === '\n' || last === '\t');
    if (!indents && random() < 1 / 40) {
      keys.push(['q', gap(median)], ['\b', gap(2 * inWord)]);
    }
    keys.push([key, indents ? 1 : gap(median)]);
    last = indents ? '\t' : key;
  }
  return { name, before, after, known: before + known + after, keys };
});
writeFileSync(fileURLToPath(new URL('typing.json', import.meta.url)), `${JSON.stringify(traces)}\n`);
