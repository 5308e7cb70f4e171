import { openContext, piece } from './open-context.js';

/**
 * Copies between sequences, and says as JSON what came of it:
 *
 *   node copies.mjs guarded|raw MODEL
 *
 * `raw` copies a part of a sequence past the guard.
 */

const [mode = '', file = ''] = process.argv.slice(2);

const { native, context } = await openContext(file, { sequences: 3 });

const lastLogits = (count: number): readonly number[] => [...context.logits(count - 1)];

await context.decode(piece(0, 0, 20));

if (mode === 'raw') {
  native.copyRange(native.memory(context.requireOutput(19)) ?? 0n, 0, 1, 0, 10);
  process.stdout.write('survived\n');
} else {
  const alone = await evaluateAlone();
  context.copy(0, 1, 10);
  const early = context.readState(1);
  const sourceState = context.readState(0);
  const overwritten = sourceState !== undefined && context.writeState(0, sourceState);
  await context.decode(piece(1, 10, 15));
  const copied = lastLogits(5);
  const late = context.readState(1);
  const before = [0, 1].map((sequence) => context.lastPosition(sequence));
  context.abortsAll = true;
  const outcome = await context.decode([...piece(1, 15, 16), ...piece(2, 0, 12)]);
  context.abortsAll = false;
  const said = {
    isSame: copied.every((value, index) => value === alone[index]),
    early: early === undefined,
    overwritten,
    late: late !== undefined,
    outcome,
    isTakenBack: context.lastPosition(1) === before[1] && context.lastPosition(2) === -1,
  };
  process.stdout.write(`${JSON.stringify(said)}\n`);
}
// Nothing native is to be ended in whatever order the process would.
process.kill(process.pid, 'SIGKILL');

/** The same tokens in the same pieces, on a sequence that nothing was copied to. */
async function evaluateAlone(): Promise<readonly number[]> {
  await context.decode(piece(2, 0, 10));
  await context.decode(piece(2, 10, 15));
  const logits = lastLogits(5);
  context.truncate(2, 0);
  return logits;
}
