import type { Native } from './native.js';

/** Lines that are kept of one capture; each is cut to 500 characters. They may hold a path: never show them whole. */
const mostLines = 200;

/**
 * Runs `work` and keeps what llama.cpp logs meanwhile. Outside it nothing is logged, and no log line costs a call
 * into JavaScript.
 */
export async function captureLog<Result>(
  native: Native,
  work: () => Promise<Result>,
): Promise<{ readonly result: Result; readonly lines: readonly string[] }> {
  const { ffi } = native;
  const lines: string[] = [];
  const prototype = ffi.pointer(ffi.proto('void', ['int', 'const char *', 'void *']));
  const callback = ffi.register((_level: number, text: unknown) => {
    if (typeof text === 'string' && lines.length < mostLines) lines.push(text.slice(0, 500));
  }, prototype);
  native.setLog(callback, null);
  try {
    return { result: await work(), lines };
  } finally {
    silence(native);
    ffi.unregister(callback);
  }
}

/** Switches llama.cpp's log off. */
export function silence(native: Native): void {
  native.setLog(native.noLog, null);
}
