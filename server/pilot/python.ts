import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

/** Where Debian has its Python, which sees Debian's packages; elsewhere the one in the path. */
const python = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';
const needed = ['numpy', 'sentencepiece', 'torch'] as const;

/** Runs a script of `server/pilot/python`; its output goes where ours goes. @throws Error with what it ended with */
export async function runPython(script: string, args: readonly string[]): Promise<void> {
  const missing = await missingPython();
  if (missing.length > 0) throw new Error(howToInstall(missing));
  const file = path.join(process.cwd(), 'server/pilot/python', script);
  const code = await ended(['-u', file, ...args], 'inherit');
  if (code !== 0)
    throw new Error(`${script} ended with ${code ?? 'a signal'}. The same command goes on where it was.`);
}

/** The Python packages that are not there. */
export async function missingPython(): Promise<readonly string[]> {
  const missing: string[] = [];
  for (const name of needed) if ((await ended(['-c', `import ${name}`], 'ignore')) !== 0) missing.push(name);
  return missing;
}

function howToInstall(missing: readonly string[]): string {
  return `Python lacks ${missing.join(', ')}. On Debian: apt-get install python3-torch python3-sentencepiece libopenblas0-pthread`;
}

/**
 * `npm run pilot -- check`: a run of some steps on made-up text, stopped in the middle and gone on with, ends with the
 * very weights of one that was not stopped. Says plainly what is missing; it is no part of `npm test`, since a machine
 * for tests has no PyTorch.
 */
export async function checkPython(say: (line: string) => void): Promise<void> {
  const missing = await missingPython();
  if (missing.length > 0) throw new Error(howToInstall(missing));
  const file = path.join(process.cwd(), 'server/pilot/python/check.py');
  if ((await ended(['-u', file], 'inherit')) !== 0) throw new Error('The check has failed: see above.');
  say('The training side works, and goes on exactly where it was stopped.');
}

/** glibc gives large blocks back to the system at once, and the next step faults them in again: a tenth of the time. */
const keepMemory = {
  MALLOC_MMAP_THRESHOLD_: String(2 ** 32),
  MALLOC_TRIM_THRESHOLD_: String(2 ** 33),
  MALLOC_ARENA_MAX: '1',
};

/** The exit code; null for a signal, and where there is no Python at all. */
function ended(args: readonly string[], stdio: 'inherit' | 'ignore'): Promise<number | null> {
  return new Promise((resolve) => {
    const child = spawn(python, args, { stdio, cwd: process.cwd(), env: { ...process.env, ...keepMemory } });
    child.once('error', () => resolve(null));
    child.once('exit', resolve);
  });
}
