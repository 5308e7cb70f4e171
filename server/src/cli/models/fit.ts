import { HearthError } from '@hearth/protocol';
import { checkModel } from '../../models/split/check-split.js';
import { fitModel } from '../../models/memory/fit.js';
import { freeMemory } from '../../models/memory/free-memory.js';
import type { KeyValueType } from '../../models/memory/key-value-type.js';
import { resolveModel } from '../../models/resolve-model.js';
import { type ExitCode, exitCodes } from '../exit-codes.js';
import { showBytes } from './format.js';

export interface FitFlags {
  readonly contextSize?: number;
  readonly activePermits?: number;
  readonly kvType?: KeyValueType;
  readonly json?: true;
}

/** `hearth models fit`: what a model would take in memory, before it is loaded. */
export async function fitCommand(nameOrPath: string, flags: FitFlags): Promise<ExitCode> {
  requireBetween('--context-size', flags.contextSize, 64, 1_048_576);
  requireBetween('--active-permits', flags.activePermits, 1, 64);
  const source = await resolveModel(nameOrPath);
  const facts = await checkModel(source);
  const free = await freeMemory();
  const wish = {
    contextSize: flags.contextSize,
    sequences: flags.activePermits ?? 1,
    keyValueType: flags.kvType,
  };
  const { contextSize, estimate } = fitModel(facts, wish, free);
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify({ contextSize, estimate, freeBytes: free.bytes })}\n`);
    return exitCodes.ok;
  }
  const { contextLength } = facts;
  if (flags.contextSize !== undefined && contextLength !== undefined && contextLength < flags.contextSize) {
    process.stdout.write(
      `${source.id} was trained for ${String(contextLength)} tokens and has no longer context.\n`,
    );
  }
  process.stdout.write(
    `${source.id} fits with ${String(contextSize)} tokens of context: about ${showBytes(estimate.total)} of the ${showBytes(free.bytes)} that are free\n` +
      `  weights ${showBytes(estimate.weights)} · context ${showBytes(estimate.keyValue)} · work ${showBytes(estimate.compute)} · worker ${showBytes(estimate.worker)}\n`,
  );
  return exitCodes.ok;
}

/** The bounds of `serve`. @throws HearthError `invalid_request` */
function requireBetween(flag: string, value: number | undefined, least: number, most: number): void {
  if (value === undefined || (value >= least && value <= most)) return;
  throw new HearthError(
    'invalid_request',
    `${flag} takes a number from ${String(least)} to ${String(most)}.`,
  );
}
