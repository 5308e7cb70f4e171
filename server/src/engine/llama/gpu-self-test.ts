import { resolveSampling } from '@hearth/protocol';
import type { ResolvedGeneration } from '@hearth/protocol';
import { type GpuKind, kindNames } from '../../accelerators/kinds.js';
import { classifyDeath, findAssertion } from './worker-death.js';
import { WorkerProcess } from './worker-process.js';
import type { FromWorker, GpuInfo, LoadedInfo } from './worker/messages.js';

/** What a self-test tries. */
export interface SelfTestSubject {
  readonly gpu: { readonly kind: GpuKind; readonly folder?: string };
  /** The embedded model: small, and always there. */
  readonly modelPath: string;
  /** The worker's bundle. */
  readonly workerPath: string;
  readonly signal: AbortSignal;
  /** A card's driver may compile for a while when it is first used. @default 120 000 */
  readonly timeoutMs?: number;
}

export type SelfTestResult =
  | { readonly works: true; readonly gpu: GpuInfo }
  /** `reason` is for people and holds no path. */
  | { readonly works: false; readonly reason: string };

/** Whoever computes it, the embedded model goes on with this in the same way. */
const prompt = 'function add(a, b) {\n  return a';
const request: ResolvedGeneration = {
  input: { kind: 'raw', prompt },
  sampling: { ...resolveSampling({ temperature: 0, top_p: 1, top_k: 0 }, []), maxTokens: 6 },
  format: { kind: 'text' },
  cacheScope: undefined,
};
/** Pieces that have to be the same. Further on the last digits of a sum may decide. */
const comparedPieces = 2;
/** More than any model has. */
const allLayers = 1000;
/** Chunks that may come: more than there are tokens. */
const credit = 64;

type Run =
  | { readonly ended: true; readonly info: LoadedInfo; readonly pieces: readonly string[] }
  | { readonly ended: false; readonly reason: string };

/**
 * Has the embedded model write a few words on a graphics card, in a child of its own, and compares them with what the
 * processor writes. A driver that crashes, hangs or computes nonsense costs a child and gives a reason.
 *
 * @throws an AbortError after `signal`
 */
export async function testGpu(subject: SelfTestSubject): Promise<SelfTestResult> {
  subject.signal.throwIfAborted();
  const [card, processor] = await Promise.all([runOnce(subject, subject.gpu), runOnce(subject, undefined)]);
  subject.signal.throwIfAborted();
  if (!card.ended) return { works: false, reason: card.reason };
  if (!processor.ended)
    return { works: false, reason: 'The self-test does not work on the processor either.' };
  const { gpu } = card.info;
  if (gpu === undefined) {
    return {
      works: false,
      reason: `No graphics card was found that ${kindNames[subject.gpu.kind]} can use.`,
    };
  }
  const [written, right] = [card, processor].map(({ pieces }) => pieces.slice(0, comparedPieces).join(''));
  if (written !== right) return { works: false, reason: 'Its self-test failed: it computes wrong figures.' };
  return { works: true, gpu };
}

async function runOnce(
  { modelPath, workerPath, signal, timeoutMs = 120_000 }: SelfTestSubject,
  gpu: SelfTestSubject['gpu'] | undefined,
): Promise<Run> {
  let settle: (run: Run) => void = () => undefined;
  const outcome = new Promise<Run>((resolve) => {
    settle = resolve;
  });
  const fail = (reason: string): void => {
    settle({ ended: false, reason });
  };
  const pieces: string[] = [];
  let info: LoadedInfo | undefined;
  const hear = (message: FromWorker): void => {
    switch (message.kind) {
      case 'loaded':
        info = message.info;
        worker.send({ kind: 'generate', id: 1, request, credit });
        return;
      case 'chunk':
        if (message.piece.kind === 'token') pieces.push(message.piece.text);
        return;
      case 'done':
        if (info !== undefined) settle({ ended: true, info, pieces });
        return;
      case 'fatal':
        fail(message.message);
        return;
      case 'failed':
        fail('Its self-test failed: the card could not compute.');
        return;
      case 'progress':
      case 'counted':
      case 'answered':
      case 'pong':
      case 'spent':
        return;
    }
  };
  const worker = new WorkerProcess(workerPath, hear);
  const timer = setTimeout(fail, timeoutMs, 'Its self-test did not end.');
  const abort = (): void => {
    fail('It was not tested to its end.');
  };
  signal.addEventListener('abort', abort, { once: true });
  void worker.exited.then((exit) => {
    fail(`Its self-test failed: ${classifyDeath(exit, { assertion: findAssertion(worker.output) }).text}.`);
  });
  worker.send({
    kind: 'load',
    order: {
      path: modelPath,
      sequences: 1,
      contextSize: 256,
      threads: 1,
      longestTokenBytes: 0,
      ...(gpu === undefined ? {} : { gpu: { ...gpu, layers: allLayers } }),
    },
  });
  try {
    return await outcome;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
    // It holds nothing that would be lost, and a driver that hangs would hold up a polite end.
    worker.kill('SIGKILL');
    await worker.exited;
  }
}
