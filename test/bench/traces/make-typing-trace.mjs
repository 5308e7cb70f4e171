import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * Writes typing.json: keystrokes with the time before each. What is typed is real: edits.json has changes of this
 * repository's own history, each as it was first written (`typed`, between `before` and `after`) and as the same lines
 * read some weeks later (`known`: what an engine that knows the project would have written there, the same for the most
 * part). No person was recorded: when the keys come, and the mistakes, are from a model of typing with a fixed seed. Its
 * figures are those of a practised typist: a median of 110 ms inside a word, longer at the beginning of a word, much
 * longer at the beginning of a line. About one key in fifty is a slip, noticed at once or some keys later and taken
 * back; two letters are struck in the wrong order now and then; and some words are deleted and written again. New lines are
 * begun with Enter at the end of the line above, and Enter brings the indentation with it, as it does in any editor.
 *
 *   node test/bench/traces/make-typing-trace.mjs
 */

/** @type {{ name: string, change: string, before: string, typed: string, after: string, known: string }[]} */
const edits = JSON.parse(readFileSync(new URL('edits.json', import.meta.url), 'utf8'));

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
/** Before a mistake that was seen is taken back. */
const startled = 3 * inWord;
const rows = ['qwertyuiop', 'asdfghjkl', 'zxcvbnm'];

/** The key beside the one that was meant. @param {string} key */
function besides(key) {
  const row = rows.find((one) => one.includes(key.toLowerCase())) ?? 'sd';
  const at = row.indexOf(key.toLowerCase());
  return row[at > 0 ? at - 1 : 1] ?? 's';
}

/** Keys of one edit, `\b` for backspace, each with the milliseconds before it. @param {string} typed */
function keysOf(typed) {
  /** @type {[string, number][]} */
  const keys = [];
  const back = (/** @type {number} */ count) => {
    for (let one = 0; one < count; one += 1) keys.push(['\b', gap(one === 0 ? startled : 0.8 * inWord)]);
  };
  const strike = (/** @type {number} */ index) => {
    const key = typed[index] ?? '';
    const isFirst = typed.slice(typed.lastIndexOf('\n', index - 1) + 1, index).trim() === '';
    // It came with the Enter before it.
    if (isFirst && key === ' ') return;
    const text = key === '\n' ? (/^\n */.exec(typed.slice(index))?.[0] ?? key) : key;
    keys.push([text, gap(isFirst ? 4 * inWord : /\W/.test(typed[index - 1] ?? '') ? 1.5 * inWord : inWord)]);
  };
  for (let index = 0; index < typed.length; index += 1) {
    const isLetter = /[a-z]/i.test(typed[index] ?? '');
    const chance = random();
    if (isLetter && chance < 0.02) {
      // A slip, and what was written behind it before it was seen.
      const late = random() < 0.6 ? 0 : 1 + Math.floor(random() * 3);
      const more = typed.slice(index + 1, index + 1 + late).split('\n')[0] ?? '';
      keys.push([besides(typed[index] ?? ''), gap(inWord)]);
      for (let one = 0; one < more.length; one += 1) strike(index + 1 + one);
      back(1 + more.length);
    } else if (isLetter && chance < 0.027 && /[a-z]/i.test(typed[index + 1] ?? '')) {
      strike(index + 1);
      strike(index);
      back(2);
    } else if (!isLetter && chance < 0.03 && /\w{4}$/.test(typed.slice(0, index))) {
      // A second thought about the word, which turns out to be right.
      const word = /\w+$/.exec(typed.slice(0, index))?.[0] ?? '';
      back(word.length);
      for (let one = index - word.length; one < index; one += 1) strike(one);
    }
    strike(index);
  }
  return keys;
}

const traces = edits.map(({ name, change, before, typed, known, after }) => {
  // The line break before the change is the first key of it, and the one behind it stands there already.
  if (!before.endsWith('\n') || !typed.endsWith('\n')) throw new Error(`${name}: not of whole lines`);
  const written = `\n${typed.slice(0, -1)}`;
  const keys = keysOf(written);
  let text = '';
  for (const [key] of keys) text = key === '\b' ? text.slice(0, -1) : text + key;
  if (text !== written) throw new Error(`${name}: the keys do not come to the edit`);
  return { name, change, before: before.slice(0, -1), after: `\n${after}`, known, keys };
});
writeFileSync(fileURLToPath(new URL('typing.json', import.meta.url)), `${JSON.stringify(traces)}\n`);
