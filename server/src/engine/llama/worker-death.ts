/** How a worker came to its end. */
export interface WorkerExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Circumstances of a death that its exit does not tell. */
export interface DeathCircumstances {
  /** We killed it because it no longer answered. */
  readonly hung?: boolean;
  /** It was loading a model that no worker has loaded yet. */
  readonly firstLoad?: boolean;
  /** What llama.cpp said of a failed check, where it did. */
  readonly assertion?: string | undefined;
}

/** Why a worker died, as far as can be known from outside. `text` is for people and holds no path and no content. */
export interface WorkerDeath {
  readonly kind: 'hung' | 'bad_model' | 'out_of_memory' | 'native_abort' | 'signal' | 'exit';
  readonly text: string;
}

const nativeAborts: readonly (NodeJS.Signals | null)[] = ['SIGABRT', 'SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGFPE'];
/** Windows' codes for an access violation, a stack overflow, and abort(). */
const windowsAborts: readonly (number | null)[] = [0xc000_0005, 0xc000_00fd, 0xc000_0409, 3];
/** Node's code when V8 runs out of memory and its signal is lost. */
const heapExhausted = 134;

/** Classifies a death that nobody asked for. */
export function classifyDeath(
  exit: WorkerExit,
  { hung = false, firstLoad = false, assertion }: DeathCircumstances = {},
): WorkerDeath {
  if (hung) return { kind: 'hung', text: 'the engine no longer answered' };
  const because = assertion === undefined ? '' : `: ${assertion}`;
  const abort = describeAbort(exit);
  if (abort !== undefined && firstLoad) {
    return { kind: 'bad_model', text: `the engine crashed while it loaded this model (${abort})${because}` };
  }
  if (abort !== undefined) return { kind: 'native_abort', text: `the engine crashed (${abort})${because}` };
  if (exit.signal === 'SIGKILL') {
    return {
      kind: 'out_of_memory',
      text: 'the system ended the engine (SIGKILL), most often because memory ran out',
    };
  }
  if (exit.signal !== null) return { kind: 'signal', text: `the engine was ended by ${exit.signal}` };
  return { kind: 'exit', text: `the engine ended by itself (code ${String(exit.code)})` };
}

/** Undefined: it was none. */
function describeAbort({ code, signal }: WorkerExit): string | undefined {
  if (nativeAborts.includes(signal)) return signal ?? 'abort';
  const isAbort = code === heapExhausted || (process.platform === 'win32' && windowsAborts.includes(code));
  return isAbort ? `code ${String(code)}` : undefined;
}

/**
 * The failed check that llama.cpp named before it aborted, from what it wrote to its error output. Only the file
 * name, the line and the condition in the source are taken: the rest may hold content.
 */
export function findAssertion(output: string): string | undefined {
  const found = /([\w.-]{1,60}:\d{1,6}): (GGML_ASSERT\([^\n]{1,120}\)) failed/u.exec(output);
  return found === null ? undefined : `${found[1] ?? ''} ${found[2] ?? ''}`;
}
