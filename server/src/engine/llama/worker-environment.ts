/** Variables that a worker may see, beside those with a prefix below. */
const names = new Set([
  'PATH',
  'HOME',
  'TMPDIR',
  'LANG',
  // Windows processes do not start without these.
  'SYSTEMROOT',
  'WINDIR',
  'TEMP',
  'TMP',
  'USERPROFILE',
]);
const prefixes = ['GGML_', 'CUDA_', 'VK_'];

/**
 * The environment of a worker: an allow-list. NODE_OPTIONS would run foreign code in it; LD_LIBRARY_PATH and
 * LD_PRELOAD could give llama.cpp another program's libraries, which ends in memory corruption.
 *
 * @param electron Whether this process is Electron, which runs as Node only when told so.
 */
export function workerEnvironment(env: NodeJS.ProcessEnv, electron: boolean): NodeJS.ProcessEnv {
  const kept = Object.entries(env).filter(([name]) => {
    const upper = name.toUpperCase();
    return names.has(upper) || prefixes.some((prefix) => upper.startsWith(prefix));
  });
  return { ...Object.fromEntries(kept), ...(electron ? { ELECTRON_RUN_AS_NODE: '1' } : {}) };
}
