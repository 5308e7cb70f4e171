import { FfiContext } from '../ffi-context.js';
import { FfiModel } from '../ffi-model.js';
import { openNative } from '../open-native.js';

/**
 * Loads model files one after the other and takes a step with each:
 *
 *   node load-all.mjs FILE…
 *
 * It says `begin FILE`, and then `loaded` or `refused`. Where neither follows, that file was the end of the process.
 */

const { native } = await openNative();
const say = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

for (const file of process.argv.slice(2)) {
  say(`begin ${file}`);
  try {
    const pointer = await native.loadModel(file, { ...native.modelDefaults(), n_gpu_layers: 0 });
    const model = new FfiModel(native, pointer);
    const context = await FfiContext.open(model, {
      sequences: 1,
      contextSize: 64,
      batchSize: 64,
      outputs: 4,
      threads: 1,
    });
    if (context === undefined) throw new Error('no context');
    const tokens = model.tokenize('some text');
    await context.decode(
      tokens.slice(0, 4).map((token, position) => ({ token, sequence: 0, position, output: true })),
    );
    for (let token = 0; token < Math.min(512, model.vocabularySize); token += 1) model.piece(token);
    await context.free();
    model.free();
    say('loaded');
  } catch {
    say('refused');
  }
}
