import { StepWatch } from '../step-watch.js';
import { openContext, piece } from './open-context.js';

/**
 * Decodes on this thread and on another one, and says as JSON whether that differs:
 *
 *   node in-place.mjs MODEL
 */

const [file = ''] = process.argv.slice(2);

const watch = new StepWatch();
const { context } = await openContext(file, { sequences: 2, watch });

const last = (count: number): string => context.logits(count - 1).join(' ');

await context.decode(piece(0, 0, 20));
const elsewhere = last(20);
await context.decode(piece(1, 0, 20), 10_000);
const here = last(20);

// Work of the event loop that is due: it waits where this thread decodes.
let turns = 0;
const turn = (): void => {
  turns += 1;
  setImmediate(turn);
};
setImmediate(turn);
await context.decode(piece(0, 20, 40), Infinity);
const turnsHere = turns;
const after = last(20);

// It takes long enough to be told: the flag is looked at in each of the graph's nodes.
let outcome = 'done';
const patience = performance.now() + 60_000;
while (outcome === 'done' && performance.now() < patience) {
  context.truncate(1, 20);
  outcome = await context.decode(piece(1, 20, 40), 0);
}
const isTakenBack = context.lastPosition(1) === 19;
const next = await context.decode(piece(1, 20, 40), 10_000);
const same = last(20) === after;

await watch.close();
context.truncate(1, 20);
const unwatched = await context.decode(piece(1, 20, 40), 0);
process.stdout.write(
  JSON.stringify({ isSame: here === elsewhere, turnsHere, outcome, isTakenBack, next, same, unwatched }),
);
process.exit(0);
