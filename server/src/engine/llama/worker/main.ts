import type { Driver } from './driver.js';
import { LoadError } from './load.js';
import { loadDriver } from './load-driver.js';
import { isToWorker } from './messages.js';
import type {
  FromWorker,
  GenerationResult,
  LoadOrder,
  Piece,
  PromptProgress,
  Question,
  RequestFailure,
  ToWorker,
} from './messages.js';
import { openStates } from './kv/open-states.js';
import type { OpenStates } from './kv/open-states.js';
import { Outbox, separate } from './outbox.js';
import { cutForCount } from './pieces.js';
import { Questions } from './questions.js';
import { RequestError, toRequestFailure } from './request-error.js';
import { Scheduler } from './scheduler.js';

/**
 * The engine worker: one process, one model. It is forked by LlamaEngine, hears it over IPC, and ends with it.
 */

/** Longest text whose tokens are counted, in UTF-16 units; more would hold up running streams for too long. */
const longestCount = 1024 * 1024;

type State =
  | { readonly kind: 'idle' }
  | { readonly kind: 'loading' }
  | {
      readonly kind: 'ready';
      readonly driver: Driver;
      readonly scheduler: Scheduler;
      readonly questions: Questions;
      readonly states: OpenStates;
    };

let state: State = { kind: 'idle' };

const outbox = new Outbox<FromWorker>((message) => {
  // The channel is gone when the daemon is; `disconnect` then ends this process.
  if (process.connected) process.send?.(message);
});

function send(message: FromWorker): void {
  outbox.put(message);
}

async function load(order: LoadOrder): Promise<void> {
  if (state.kind !== 'idle') return;
  state = { kind: 'loading' };
  try {
    const { driver, driverReason } = await loadDriver(order, (progress) => {
      send({ kind: 'progress', ...progress });
    });
    const states = await openStates(order.states, driver.stateKey);
    const events = {
      chunk: (id: number, piece: Piece | PromptProgress, tokens: number) => {
        send({ kind: 'chunk', id, piece, tokens });
      },
      done: (id: number, result: GenerationResult) => {
        send({ kind: 'done', id, result });
      },
      failed: (id: number, failure: RequestFailure) => {
        send({ kind: 'failed', id, failure });
      },
    };
    const scheduler = new Scheduler(driver, events, {
      ...states,
      ...(order.drafts === undefined ? {} : { drafts: order.drafts }),
      onIdle: () => {
        if (driver.isSpent) send({ kind: 'spent' });
      },
    });
    state = {
      kind: 'ready',
      driver,
      scheduler,
      questions: new Questions(driver, longestText(order)),
      states,
    };
    const reason = driverReason === undefined ? {} : { driverReason };
    send({ kind: 'loaded', info: { ...driver.info, ...reason } });
  } catch (error) {
    const known = error instanceof LoadError;
    send({
      kind: 'fatal',
      code: known ? error.code : 'internal',
      message: known ? error.message : 'The engine failed while it loaded the model.',
    });
  }
}

async function ask(id: number, question: Question): Promise<void> {
  try {
    if (state.kind !== 'ready') throw notLoaded();
    send({ kind: 'answered', id, answer: await state.questions.ask(id, question) });
  } catch (error) {
    send({ kind: 'failed', id, failure: toRequestFailure(error) });
  }
}

function notLoaded(): RequestError {
  return new RequestError('unavailable', 'The model is not loaded yet.');
}

async function countTokens(id: number, texts: readonly string[]): Promise<void> {
  try {
    if (state.kind !== 'ready') throw notLoaded();
    const counts: number[] = [];
    for (const text of texts) {
      if (text.length > longestCount)
        throw new RequestError('invalid_request', 'A text is too long to be counted.');
      let count = 0;
      for (const piece of cutForCount(text)) {
        count += state.driver.countTokens(piece);
        await new Promise(setImmediate);
      }
      counts.push(count);
    }
    send({ kind: 'counted', id, counts });
  } catch (error) {
    send({ kind: 'failed', id, failure: toRequestFailure(error) });
  }
}

/** No text of more UTF-16 units can be within the context. */
function longestText({ contextSize, longestTokenBytes }: LoadOrder): number {
  return longestTokenBytes === 0 ? Infinity : contextSize * longestTokenBytes;
}

async function shutdown(): Promise<void> {
  if (state.kind === 'ready') {
    await state.scheduler.close();
    await state.states.flush();
  }
  outbox.flush();
  process.exit(0);
}

async function handle(message: ToWorker): Promise<void> {
  switch (message.kind) {
    case 'load':
      return load(message.order);
    case 'countTokens':
      return countTokens(message.id, message.texts);
    case 'ask':
      return ask(message.id, message.question);
    case 'ping':
      send({
        kind: 'pong',
        stepMs: state.kind === 'ready' ? Math.max(state.scheduler.stepMs, state.questions.stepMs) : 0,
        grammars: state.kind === 'ready' ? state.scheduler.stepGrammars : 'none',
      });
      return;
    case 'shutdown':
      return shutdown();
    case 'generate':
      if (state.kind === 'ready') return state.scheduler.submit(message.id, message.request, message.credit);
      send({
        kind: 'failed',
        id: message.id,
        failure: toRequestFailure(notLoaded()),
      });
      return;
    case 'abort':
      if (state.kind === 'ready') state.scheduler.abort(message.id);
      if (state.kind === 'ready') state.questions.abort(message.id);
      return;
    case 'credit':
      if (state.kind === 'ready') state.scheduler.addCredit(message.id, message.amount);
      return;
  }
}

process.on('message', (message: unknown) => {
  for (const one of separate(message, isToWorker)) void handle(one);
});

// Without its daemon a worker has nobody to serve. It leaves at once, whatever native code is doing.
process.on('disconnect', () => {
  process.kill(process.pid, 'SIGKILL');
});

// The daemon decides when this process ends; a Ctrl-C in the terminal reaches the whole group.
process.on('SIGINT', () => undefined);

// node-llama-cpp rejects where nobody waits when sampling fails, and the call that sampled never comes back.
process.on('unhandledRejection', () => {
  if (state.kind === 'ready') state.driver.loseCalls();
});
