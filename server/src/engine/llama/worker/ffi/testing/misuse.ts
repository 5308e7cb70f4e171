import { FfiContext } from '../ffi-context.js';
import { FfiModel } from '../ffi-model.js';
import { FfiSampler } from '../ffi-sampler.js';
import { GuardError, Handle } from '../handle.js';
import { openNative } from '../open-native.js';

/**
 * Misuses llama.cpp in ways that end a process, through the guards or past them. One misuse a process:
 *
 *   node misuse.mjs NAME guarded|raw MODEL
 *
 * It says `guarded` where a guard answered, and `survived` where nothing happened.
 */

const [name = '', mode = '', file = ''] = process.argv.slice(2);

const { native } = await openNative();
const pointer = await native.loadModel(file, { ...native.modelDefaults(), n_gpu_layers: 0 });
const model = new FfiModel(native, pointer);
const options = { sequences: 2, contextSize: 128, batchSize: 64, outputs: 4, threads: 1 };

async function open(): Promise<FfiContext> {
  const context = await FfiContext.open(model, options);
  if (context === undefined) throw new Error('no context');
  return context;
}

/** A context without a guard. */
async function openRaw(): Promise<bigint> {
  const context = await native.makeContext(model.pointer, {
    ...native.contextDefaults(),
    n_ctx: 256,
    n_batch: 64,
    n_ubatch: 64,
    n_seq_max: 2,
    n_outputs_max: 4,
    kv_unified: true,
  });
  if (context === undefined) throw new Error('no context');
  return context;
}

const one = (token: number, position: number, output = true) => ({ token, sequence: 0, position, output });

/** A batch in our own memory, for the calls past the guards. */
const kept: ArrayBufferView[] = [];
function rawBatch(count: number, outputs: number): Record<string, bigint | number | null> {
  const address = (array: ArrayBufferView): bigint => {
    kept.push(array);
    const value: unknown = native.ffi.address(array);
    if (typeof value !== 'bigint') throw new Error('no address');
    return value;
  };
  const ids = new Int32Array(new ArrayBuffer(4 * count + 64));
  const first = address(ids);
  return {
    n_tokens: count,
    token: address(new Int32Array(new ArrayBuffer(4 * count + 64)).fill(1)),
    embd: null,
    pos: address(Int32Array.from({ length: count + 16 }, (_, index) => index)),
    n_seq_id: address(new Int32Array(new ArrayBuffer(4 * count + 64)).fill(1)),
    seq_id: address(BigUint64Array.from({ length: count + 16 }, () => first)),
    logits: address(Int8Array.from({ length: count + 64 }, (_, index) => (index < outputs ? 1 : 0))),
  };
}

const greedy = {
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  typicalP: 1,
  penalties: { repeat: 1, presence: 0, frequency: 0, lastN: 0 },
  dry: undefined,
  xtc: undefined,
  mirostat: undefined,
  logitBias: [],
  logprobs: undefined,
  maxTokens: 8,
  seed: 1,
};

interface Misuse {
  guarded(): Promise<unknown>;
  /** Past the guard, where that is the end of the process. */
  raw?(): Promise<unknown>;
}

const misuses: Readonly<Record<string, Misuse>> = {
  'decode after the context has ended': {
    guarded: async () => {
      const context = await open();
      await context.free();
      return context.decode([one(1, 0)]);
    },
    raw: async () => {
      const context = await openRaw();
      native.freeContext(context);
      return native.decode(context, rawBatch(1, 1));
    },
  },
  'decode without a context': {
    guarded: async () => new Handle('context', undefined),
    raw: async () => native.decode(null, rawBatch(1, 1)),
  },
  'ending a context twice': {
    guarded: async () => {
      const context = await open();
      await context.free();
      await context.free();
      context.clear();
    },
    raw: async () => {
      const context = await openRaw();
      native.freeContext(context);
      native.freeContext(context);
    },
  },
  'ending a model twice': {
    guarded: async () => {
      model.free();
      model.free();
      return model.tokenize('x');
    },
    raw: async () => {
      native.freeModel(pointer ?? 0n);
      native.freeModel(pointer ?? 0n);
    },
  },
  'ending a context while it decodes': {
    guarded: async () => {
      const context = await open();
      const decoding = context.decode(Array.from({ length: 64 }, (_, index) => one(1, index, false)));
      const ended = context.free();
      await decoding;
      await ended;
      return context.decode([one(1, 0)]);
    },
    raw: async () => {
      for (let round = 0; round < 50; round += 1) {
        const context = await openRaw();
        const decoding = native.decode(context, rawBatch(64, 1));
        await new Promise(setImmediate);
        native.freeContext(context);
        await decoding;
      }
    },
  },
  'reading while it decodes': {
    guarded: async () => {
      const context = await open();
      const decoding = context.decode([one(1, 0)]);
      await Promise.resolve();
      try {
        context.truncate(0, 0);
      } finally {
        await decoding;
      }
    },
    // Past the guard: a race: it ends a process only now and then.
  },
  'choosing at a place without an outcome': {
    guarded: async () => {
      const context = await open();
      const sampler = new FfiSampler(model, context, greedy, [], undefined);
      await context.decode([one(1, 0, false), one(1, 1)]);
      return sampler.sample(0);
    },
    raw: async () => {
      const context = await openRaw();
      const chain = native.makeChain(native.chainDefaults()) ?? 0n;
      native.addToChain(chain, native.makeGreedy() ?? 0n);
      await native.decode(context, rawBatch(2, 1));
      return native.sample(chain, context, 1);
    },
  },
  'choosing with samplers that have ended': {
    guarded: async () => {
      const context = await open();
      const sampler = new FfiSampler(model, context, greedy, [], undefined);
      await context.decode([one(1, 0)]);
      sampler.free();
      sampler.free();
      return sampler.sample(0);
    },
    raw: async () => {
      const context = await openRaw();
      const chain = native.makeChain(native.chainDefaults()) ?? 0n;
      native.addToChain(chain, native.makeGreedy() ?? 0n);
      await native.decode(context, rawBatch(1, 1));
      native.freeSampler(chain);
      native.freeSampler(chain);
      return native.sample(chain, context, 0);
    },
  },
  'more tokens than a batch holds': {
    guarded: async () => {
      const context = await open();
      return context.decode(Array.from({ length: 65 }, (_, index) => one(1, index, false)));
    },
    raw: async () => {
      const context = await openRaw();
      return native.decode(context, rawBatch(65, 1));
    },
  },
  'more outcomes than there is room for': {
    guarded: async () => {
      const context = await open();
      return context.decode(Array.from({ length: 5 }, (_, index) => one(1, index)));
    },
    raw: async () => {
      const context = await openRaw();
      return native.decode(context, rawBatch(32, 32));
    },
  },
  'a text longer than native code can count the tokens of (CVE-2025-52566)': {
    guarded: async () => model.tokenize('x'.repeat(64 * 1024 * 1024 + 1)),
    // Past the guard: it takes gigabytes before it is the end.
  },
  'a bias for a token that does not exist': {
    guarded: async () => {
      const context = await open();
      return new FfiSampler(
        model,
        context,
        { ...greedy, logitBias: [{ token: -1, bias: 1 }] },
        [],
        undefined,
      );
    },
    // Past the guard: it writes beside its memory, which ends a process only now and then.
  },
  'the text of a token that does not exist': {
    guarded: async () => model.piece(1_000_000),
    raw: async () => native.piece(model.vocabulary, 1_000_000, Buffer.alloc(64), 64, 0, false),
  },
  'a sequence that does not exist': {
    guarded: async () => {
      const context = await open();
      context.truncate(77, 0);
    },
    raw: async () => {
      const context = await openRaw();
      native.removeRange(native.memory(context) ?? 0n, 300, 0, -1);
    },
  },
  'a model that goes before its context': {
    guarded: async () => {
      await open();
      model.free();
    },
    // Past the guard: what a context reads of its model may still be there.
  },
};

const misuse = misuses[name];
if (misuse === undefined) throw new Error('there is no such misuse');
try {
  await (mode === 'raw' ? misuse.raw?.() : misuse.guarded());
  process.stdout.write('survived\n');
} catch (error) {
  if (!(error instanceof GuardError)) throw error;
  process.stdout.write('guarded\n');
}
// Nothing native is to be ended in whatever order the process would.
process.kill(process.pid, 'SIGKILL');
