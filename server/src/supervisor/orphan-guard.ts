import { type ChildProcess, spawn } from 'node:child_process';

/**
 * Ends a process group when this process ends without doing so itself, `kill -9` included (row 121).
 *
 * A guard is a shell of its own group that holds the reading end of a pipe of ours and waits. The kernel closes the pipe
 * with our process, however that ends; the guard then sends SIGTERM to the group, and SIGKILL 1.5 s later. Its script is
 * constant and reads one number, so that nothing of a configuration reaches the shell.
 *
 * POSIX only. On Windows there is none yet: a service outlives a babysitter that was killed there.
 */
export interface OrphanGuard {
  /** From now on the guard answers for this group. */
  watch(group: number): void;
  /** The group is over; so is the guard. */
  release(): void;
}

const script = `
trap '' HUP INT TERM
read -r group || exit 0
case $group in ''|*[!0-9]*) exit 0;; esac
read -r word && exit 0
kill -s TERM -- "-$group" 2>/dev/null || exit 0
for step in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
  kill -s 0 -- "-$group" 2>/dev/null || exit 0
  sleep 0.1
done
kill -s KILL -- "-$group" 2>/dev/null
`;

/** Starts a guard. It is started before what it guards, so that there is no moment without. */
export function startOrphanGuard(): OrphanGuard {
  if (process.platform === 'win32') return { watch: () => undefined, release: () => undefined };
  const shell: ChildProcess = spawn('/bin/sh', ['-c', script], {
    stdio: ['pipe', 'ignore', 'ignore'],
    env: { PATH: '/usr/bin:/bin' },
    detached: true,
  });
  // A guard that could not be started leaves what was before: the service ends with an orderly end of ours.
  shell.on('error', () => undefined);
  shell.stdin?.on('error', () => undefined);
  shell.unref();
  return {
    watch: (group) => shell.stdin?.write(`${group}\n`),
    release: () => shell.stdin?.end('over\n'),
  };
}
