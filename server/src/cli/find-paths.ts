import { KernelLock } from '../lock/kernel-lock.js';
import {
  prepareRuntimeDirectory,
  resolveRuntimeDirectory,
  type RuntimePaths,
  runtimePaths,
} from '../lock/runtime-directory.js';

/** Where a command finds the daemon, from `--runtime-dir` and the environment. */
export function findPaths(runtimeDir: string | undefined): RuntimePaths {
  const env = process.env;
  const { platform } = process;
  const explicit = runtimeDir ?? env['HEARTH_RUNTIME_DIR'];
  const directory = resolveRuntimeDirectory({ explicit, env, platform, uid: process.getuid?.() });
  return runtimePaths(directory, platform);
}

/** Makes the runtime directory ready and takes its lock. @throws StartupError `lock_held` where another holds it. */
export async function takeLock(paths: RuntimePaths): Promise<KernelLock> {
  await prepareRuntimeDirectory(paths, process.getuid?.());
  return KernelLock.acquire(paths.lock);
}
