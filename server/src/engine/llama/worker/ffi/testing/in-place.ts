import { FfiContext } from '../ffi-context.js';
import type { BatchToken } from '../ffi-context.js';
import { FfiModel } from '../ffi-model.js';
import { openNative } from '../open-native.js';
import { StepWatch } from '../step-watch.js';

/**
 * Decodes on this thread and on another one, and says as JSON whether that differs:
 *
 *   node in-place.mjs MODEL
 */

const [file = ''] = process.argv.slice(2);

const { native } = await openNative();
const model = new FfiModel(
  native,
  await native.loadModel(file, { ...native.modelDefaults(), n_gpu_layers: 0 }),
);
const watch = new StepWatch();
const options = { sequences: 2, contextSize: 256, batchSize: 64, outputs: 4, threads: 1, watch };
const context = await FfiContext.open(model, options);
if (context === undefined) throw new Error('no context');

const text = Array.from({ length: 40 }, (_, index) => 3 + ((index * 7) % 40));
const piece = (sequence: number, from: number, to: number): readonly BatchToken[] =>
  text.slice(from, to).map((token, index) => ({
    token,
    sequence,
    position: from + index,
    output: from + index === to - 1,
  }));
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
