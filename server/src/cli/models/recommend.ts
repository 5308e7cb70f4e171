import { readCatalogue } from '../../models/catalogue/catalogue.js';
import { type Recommendation, recommend, usualContextTokens } from '../../models/catalogue/recommend.js';
import { measureMachine, readMeasurement } from '../../models/machine/measure-machine.js';
import { freeMemory } from '../../models/memory/free-memory.js';
import { ModelStore } from '../../models/store/model-store.js';
import { modelsHome } from '../../models/store/models-home.js';
import { type ExitCode, exitCodes } from '../exit-codes.js';
import { onInterrupt } from '../signals.js';
import { showBytes, showTable } from './format.js';

const uses = { fim: 'ghost text', chat: 'chat', embed: 'embeddings', rerank: 'reranking' } as const;

/** `hearth models recommend`: which models of the catalogue suit this machine, by what it was measured to do. */
export async function recommendCommand(flags: {
  readonly json?: true;
  readonly measure?: true;
}): Promise<ExitCode> {
  const store = new ModelStore(modelsHome(process.env));
  const interrupted = onInterrupt();
  let machine = flags.measure === true ? undefined : await readMeasurement(store);
  if (machine === undefined) {
    process.stderr.write('measuring this machine for a few seconds …\n');
    const { makeMeasuringEngine } = await import('../measuring-engine.js');
    machine = await measureMachine({ store, makeEngine: makeMeasuringEngine }, interrupted);
  }
  const free = await freeMemory();
  const speed = { bytesPerSecond: machine.bytesPerSecond, freeBytes: free.bytes };
  const all = recommend(await readCatalogue(), speed, usualContextTokens);
  if (flags.json === true) {
    process.stdout.write(
      `${JSON.stringify({ machine, freeBytes: free.bytes, models: all }, undefined, 2)}\n`,
    );
    return exitCodes.ok;
  }
  const where = free.limitedBy === 'container' ? 'this container may take' : 'are free';
  process.stdout.write(
    `This machine passes through ${showBytes(machine.bytesPerSecond)} of weights a second; ${showBytes(free.bytes)} ${where}.\n\n`,
  );
  const head = ['', 'NAME', 'FOR', 'FETCH', 'MEMORY', 'TOKENS/S', ''];
  process.stdout.write(`${showTable([head, ...all.map(toRow)])}\n\n`);
  process.stdout.write(
    `* the one to take of its kind. Memory is with ${String(usualContextTokens)} tokens of context; tokens a second are an estimate for\n` +
      '  the processor. Sizes are as published, and no hash of them is known here: what Hugging Face says of a file is checked.\n',
  );
  const [first] = all.filter(({ isBest }) => isBest);
  if (first !== undefined) process.stdout.write(`  To begin: hearth pull ${first.entry.name}\n`);
  return exitCodes.ok;
}

function toRow({ entry, memoryBytes, fits, tokensPerSecond, isBest }: Recommendation): readonly string[] {
  const writes = entry.kind === 'fim' || entry.kind === 'chat';
  return [
    isBest ? '*' : '',
    entry.name,
    uses[entry.kind],
    showBytes(entry.approximateBytes),
    showBytes(memoryBytes),
    writes ? (tokensPerSecond < 10 ? tokensPerSecond.toFixed(1) : String(Math.round(tokensPerSecond))) : '',
    fits ? '' : 'does not fit',
  ];
}
