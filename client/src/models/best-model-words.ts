import type { BestModel, BestModelRequest } from '@hearth/protocol';
import { showBytes } from './model-items.js';

/** What measuring a machine is at, in words. */
export const stepWords: Readonly<Record<BestModelRequest.Progress['phase'], string>> = {
  prepare: 'measuring it, for a few seconds',
  load: 'measuring it, for a few seconds (starting the engine)',
  time: 'measuring it, for a few seconds (writing with a made-up model)',
};

/** The one message about the best model, and its button; no button where there is nothing to fetch or to switch to. */
export interface BestModelWords {
  readonly message: string;
  readonly button?: 'Fetch and Use It' | 'Use It';
}

/** What is said of the best model for this machine, with the figures that one decides by. */
export function bestModelWords(best: BestModelRequest.Result): BestModelWords {
  if (best.kind === 'nothing_fits') return { message: nothingFits(best) };
  const { model } = best;
  const { displayName, stored, chosen, isFastEnough, approximateBytes, license } = model;
  const size = stored
    ? `${showBytes(approximateBytes)}, here already`
    : `${showBytes(model.fetchBytes)} to fetch`;
  const figures = `${size}, ${speed(model)}, licence ${license}`;
  if (chosen)
    return { message: `Hearth already uses the best model for this machine: ${displayName} (${figures}).` };
  const slow = isFastEnough ? '' : ' It is slow here, and no other that fits is faster.';
  return {
    message: `The best model for this machine is ${displayName}: ${figures}.${slow}`,
    button: stored ? 'Use It' : 'Fetch and Use It',
  };
}

function nothingFits({
  smallest,
  machine: { freeBytes, limitedBy },
}: Extract<BestModelRequest.Result, { kind: 'nothing_fits' }>): string {
  if (smallest === undefined) return 'This copy of Hearth has no catalogue of models to choose from.';
  const where = limitedBy === 'container' ? 'that this container may still take' : 'that are free now';
  return `No model of the catalogue fits into the ${showBytes(freeBytes)} of memory ${where}: the smallest, ${smallest.displayName}, needs ${showBytes(smallest.memoryBytes)}. Hearth stays with the model that it has. Close other programs, and try again.`;
}

function speed({ tokensPerSecond }: BestModel): string {
  const digits = tokensPerSecond < 10 ? 1 : 0;
  return `about ${tokensPerSecond.toLocaleString('en-US', { maximumFractionDigits: digits })} tokens a second`;
}
