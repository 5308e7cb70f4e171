import process from 'node:process';

/**
 * node-llama-cpp by itself in a process of its own, for comparison: what somebody gets who uses it as its manual
 * says, and what the best use of it gives. Started by engine.mjs, which asks over IPC.
 *
 *   node raw-arm.mjs FILE SEQUENCES CONTEXT THREADS
 */

const [file = '', sequences = '8', contextSize = '2048', threads = '1'] = process.argv.slice(2);

const started = performance.now();
const { getLlama } = await import('node-llama-cpp');
const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, maxThreads: Number(threads) });
const model = await llama.loadModel({ modelPath: file });
const context = await model.createContext({
  sequences: Number(sequences),
  contextSize: Number(contextSize),
  threads: Number(threads),
});
const pool = Array.from({ length: Number(sequences) }, () => context.getSequence());
const loadMs = performance.now() - started;

/**
 * Tokens a second of `clients` streams of `tokens` tokens each, from each one's first token on.
 *
 * @param {number} clients @param {number} tokens @param {boolean} together all stepped in one batch
 */
async function decode(clients, tokens, together) {
  const streams = await Promise.all(
    pool.slice(0, clients).map(async (sequence, index) => {
      await sequence.clearHistory();
      const prompt = model.tokenize(`${index} a prompt of a few words`);
      const iterator = sequence.evaluate(prompt, { temperature: 0 });
      await iterator.next();
      return iterator;
    }),
  );
  const since = performance.now();
  if (together) {
    for (let count = 1; count < tokens; count += 1) await Promise.all(streams.map((one) => one.next()));
  } else {
    await Promise.all(
      streams.map(async (one) => {
        for (let count = 1; count < tokens; count += 1) await one.next();
      }),
    );
  }
  const seconds = (performance.now() - since) / 1000;
  await Promise.all(streams.map((one) => one.return()));
  return (clients * (tokens - 1)) / seconds;
}

/** Milliseconds to the first token of a prompt, cold and with all but its end there already. @param {string} prompt */
async function firstToken(prompt) {
  const [sequence] = pool;
  if (sequence === undefined) throw new Error('no sequence');
  await sequence.clearHistory();
  const times = [];
  for (const end of [' one end', ' another']) {
    const tokens = model.tokenize(prompt + end);
    const since = performance.now();
    await sequence.adaptStateToTokens(tokens);
    const rest = tokens.slice(sequence.nextTokenIndex);
    const iterator = sequence.evaluate(rest, { temperature: 0 });
    await iterator.next();
    times.push(performance.now() - since);
    await iterator.return();
  }
  return times;
}

process.on('message', async (/** @type {any} */ message) => {
  const value =
    message.kind === 'decode'
      ? await decode(message.clients, message.tokens, message.together)
      : await firstToken(message.prompt);
  process.send?.({ value });
});
process.on('disconnect', () => process.exit(0));
process.send?.({ value: loadMs });
