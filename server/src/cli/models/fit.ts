import { checkModel } from '../../models/split/check-split.js';
import { fitModel } from '../../models/memory/fit.js';
import { freeMemory } from '../../models/memory/free-memory.js';
import { resolveModel } from '../../models/resolve-model.js';
import { type ExitCode, exitCodes } from '../exit-codes.js';
import { showBytes } from './format.js';

export interface FitFlags {
  readonly contextSize?: number;
  readonly activePermits?: number;
  readonly json?: true;
}

/** `hearth models fit`: what a model would take in memory, before it is loaded. */
export async function fitCommand(nameOrPath: string, flags: FitFlags): Promise<ExitCode> {
  const source = await resolveModel(nameOrPath);
  const facts = await checkModel(source);
  const free = await freeMemory();
  const wish = { contextSize: flags.contextSize, sequences: flags.activePermits ?? 1 };
  const { contextSize, estimate } = fitModel(facts, wish, free);
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify({ contextSize, estimate, freeBytes: free.bytes })}\n`);
    return exitCodes.ok;
  }
  process.stdout.write(
    `${source.id} fits with ${String(contextSize)} tokens of context: about ${showBytes(estimate.total)} of the ${showBytes(free.bytes)} that are free\n` +
      `  weights ${showBytes(estimate.weights)} · context ${showBytes(estimate.keyValue)} · work ${showBytes(estimate.compute)} · worker ${showBytes(estimate.worker)}\n`,
  );
  return exitCodes.ok;
}
