import vm from 'node:vm';
import * as library from '@huggingface/jinja';

/**
 * Jinja templates as model files bring them, within bounds: a model file is somebody else's, and its template may be
 * of any size and run for ever.
 */

/** The part of the library that is used here. Its own declarations lead nowhere under Node's module resolution. */
interface Library {
  readonly tokenize: (source: string, options: { lstrip_blocks: boolean; trim_blocks: boolean }) => unknown;
  readonly parse: (tokens: unknown) => unknown;
  readonly Environment: new () => { set(name: string, value: unknown): unknown };
  readonly Interpreter: new (environment: unknown) => { run(program: unknown): { readonly value?: unknown } };
}
const { Environment, Interpreter, parse, tokenize } = library as unknown as Library;

/** Longest template, in UTF-16 units. The largest in use have 20 000. */
export const longestTemplate = 262_144;
/** How long one rendering may take, in milliseconds of the clock. Ordinary ones take less than one. */
export const longestRendering = 2000;
/** Longest `range`. */
const longestRange = 65_536;

/**
 * - `unreadable`: the template is no Jinja that this can read; no request can change that
 * - `refused`: the template itself refuses the input
 * - `failed`: it does something that cannot be done with this input, or does not come to an end in time
 */
export class TemplateError extends Error {
  override readonly name = 'TemplateError';
  readonly kind: 'unreadable' | 'refused' | 'failed';

  constructor(kind: TemplateError['kind'], message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.kind = kind;
  }
}

/** Thrown by the template's own `raise_exception`. */
class Refusal extends Error {}

/** What a template can see. */
export type TemplateInput = Readonly<Record<string, unknown>>;

/** Gives the text for an input. @throws TemplateError `refused` or `failed`. */
export type Rendering = (input: TemplateInput) => string;

export interface JinjaOptions {
  /** Milliseconds. Default: {@link longestRendering}. */
  readonly timeoutMs?: number;
  /** The time that a template is told. */
  readonly now?: () => Date;
}

/** @throws TemplateError `unreadable`. */
export function compileTemplate(source: string, options: JinjaOptions = {}): Rendering {
  const { timeoutMs = longestRendering, now = () => new Date() } = options;
  if (source.length > longestTemplate) {
    throw new TemplateError('unreadable', `The template has more than ${longestTemplate} characters.`);
  }
  const program = within(timeoutMs, 'unreadable', () =>
    parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true })),
  );
  return (input) => {
    const globals = { ...constants, ...functions(source, now), ...input };
    const environment = new Environment();
    for (const [name, value] of Object.entries(globals)) environment.set(name, value);
    const text: unknown = within(timeoutMs, 'failed', () => new Interpreter(environment).run(program).value);
    if (typeof text !== 'string') throw new TemplateError('failed', 'The template gives no text.');
    return text;
  };
}

const constants = { true: true, false: false, none: null, True: true, False: false, None: null };

function functions(source: string, now: () => Date): TemplateInput {
  return {
    raise_exception: (message: unknown) => {
      // What stands in the template is no content of anyone's; what was put together might be.
      const known = typeof message === 'string' && message.length <= 200 && source.includes(message);
      throw new Refusal(known ? message : '');
    },
    range: (...bounds: unknown[]) => range(bounds),
    strftime_now: (format: unknown) => formatTime(now(), String(format).slice(0, 100)),
  };
}

function range(bounds: readonly unknown[]): readonly number[] {
  const numbers = bounds.filter((bound) => typeof bound === 'number');
  const [first = 0, second, step = 1] = numbers;
  const [from, to] = second === undefined ? [0, first] : [first, second];
  const count = step === 0 ? 0 : Math.max(0, Math.ceil((to - from) / step));
  if (count > longestRange) throw new TemplateError('failed', 'The template counts too far.');
  return Array.from({ length: count }, (_, index) => from + index * step);
}

/** The part of `strftime` that templates use. */
function formatTime(time: Date, format: string): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const named = (options: Intl.DateTimeFormatOptions): string =>
    new Intl.DateTimeFormat('en-US', options).format(time);
  const parts: Readonly<Record<string, () => string>> = {
    Y: () => String(time.getFullYear()),
    m: () => two(time.getMonth() + 1),
    d: () => two(time.getDate()),
    H: () => two(time.getHours()),
    M: () => two(time.getMinutes()),
    S: () => two(time.getSeconds()),
    B: () => named({ month: 'long' }),
    b: () => named({ month: 'short' }),
    A: () => named({ weekday: 'long' }),
    a: () => named({ weekday: 'short' }),
  };
  return format.replaceAll(/%([a-zA-Z])/gu, (whole, letter: string) => parts[letter]?.() ?? whole);
}

/** Runs `work` and ends it when its time is up, wherever it is. */
function within<Result>(timeoutMs: number, kind: 'unreadable' | 'failed', work: () => Result): Result {
  let result: { readonly value: Result } | undefined;
  try {
    bench.work = () => {
      result = { value: work() };
    };
    runner.runInContext(place, { timeout: timeoutMs });
  } catch (error) {
    if (error instanceof TemplateError) throw error;
    if (error instanceof Refusal) throw new TemplateError('refused', error.message, { cause: error });
    // It may come from the other context, whose Error is not this one's.
    const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
    const late = code === 'ERR_SCRIPT_EXECUTION_TIMEOUT';
    const message = late ? 'The template does not come to an end.' : 'The template cannot be followed.';
    throw new TemplateError(kind, message, { cause: error });
  }
  if (result === undefined) throw new TemplateError(kind, 'The template cannot be followed.');
  return result.value;
}

/** One context for all: what runs in it is only the call, and its time is what matters. */
const bench = { work: (): void => undefined };
const place = vm.createContext(bench);
const runner = new vm.Script('work()');
