import process from 'node:process';

/**
 * What the developer's commands say while they work. Nothing here is silent for more than a few seconds: a person
 * who waits without a word thinks that it hangs.
 */

const started = performance.now();

/** @param {string} [text] one line, or none for an empty one */
export function say(text = '') {
  process.stdout.write(`${text}\n`);
}

/**
 * Seconds since `from`, for people: `0.4 s`, `12 s`, `2 min 05 s`.
 *
 * @param {number} from what performance.now() said at the beginning
 */
export function since(from) {
  const seconds = (performance.now() - from) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  return `${Math.floor(seconds / 60)} min ${String(Math.floor(seconds % 60)).padStart(2, '0')} s`;
}

/** Time since the command began. */
export function total() {
  return since(started);
}

/**
 * Runs `work` under a title: shows at once what it does, the time that passes, and how it ended.
 *
 * @template T
 * @param {string} title such as `Installing packages`
 * @param {(note: (text: string) => void) => Promise<T>} work calls `note` with what it does right now
 * @returns {Promise<T>}
 */
export async function step(title, work) {
  const from = performance.now();
  const live = process.stdout.isTTY;
  let detail = '';
  const paint = () => {
    const line = `  ${title} … ${since(from)}${detail === '' ? '' : `  ${detail}`}`;
    if (live) process.stdout.write(`\r\u001B[K${line.slice(0, (process.stdout.columns ?? 80) - 1)}`);
    else say(line);
  };
  paint();
  const timer = setInterval(paint, live ? 500 : 10_000);
  const end = (/** @type {string} */ mark) => {
    clearInterval(timer);
    if (live) process.stdout.write('\r\u001B[K');
    say(`${mark} ${title} (${since(from)})`);
  };
  try {
    const result = await work((text) => {
      detail = text;
    });
    end('✓');
    return result;
  } catch (error) {
    end('✗');
    throw error;
  }
}

/** A failure that the person can act on. Printed without a stack. */
export class Failure extends Error {
  /** @override */
  name = 'Failure';
}

/**
 * Prints an error once, as its kind deserves.
 *
 * @param {unknown} error
 */
export function complain(error) {
  const text =
    error instanceof Failure ? error.message : error instanceof Error ? error.stack : String(error);
  process.stderr.write(`\n${text}\n`);
}

/**
 * Reads flags such as `--port 8080` and `--headless`.
 *
 * @param {string} command how the person calls it, for the message
 * @param {readonly string[]} given
 * @param {Readonly<Record<string, 'switch' | 'value'>>} known flags with their dashes
 * @returns {{ flags: Map<string, string>, rest: string[] }} a switch that was given has the value ''
 */
export function readFlags(command, given, known) {
  /** @type {Map<string, string>} */
  const flags = new Map();
  /** @type {string[]} */
  const rest = [];
  for (let index = 0; index < given.length; index++) {
    const word = given[index] ?? '';
    if (!word.startsWith('-')) {
      rest.push(word);
      continue;
    }
    const [name = '', inline] = word.split(/=(.*)/s, 2);
    const kind = known[name];
    if (kind === undefined || (kind === 'switch' && inline !== undefined)) {
      const list = Object.entries(known).map(([flag, takes]) => (takes === 'value' ? `${flag} VALUE` : flag));
      throw new Failure(`${command} does not know ${word}. It takes: ${list.join(', ')}.`);
    }
    const value = kind === 'switch' ? '' : (inline ?? given[++index]);
    if (value === undefined) throw new Failure(`${name} needs a value.`);
    flags.set(name, value);
  }
  return { flags, rest };
}
