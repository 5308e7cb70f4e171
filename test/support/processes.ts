import fs from 'node:fs';
import { ceilingMs, until } from './wait.js';

/** What the kernel says of processes. Linux only: elsewhere the lists are empty and the figures undefined. */

interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  /** Ticks since boot: tells a process from a later one with the same id. */
  readonly startedAt: string;
}

/** A process, told apart from any later one with the same id. */
export type ProcessIdentity = Pick<ProcessEntry, 'pid' | 'startedAt'>;

function readEntry(pid: number): ProcessEntry | undefined {
  const fields = statFields(pid);
  if (fields === undefined || fields[0] === 'Z') return undefined;
  return { pid, parent: Number(fields[1]), startedAt: fields[19] ?? '' };
}

/** The fields of /proc/PID/stat from the state on; undefined where there is no such process. */
function statFields(pid: number): readonly string[] | undefined {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold spaces; the fields after it do not.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

function allEntries(): readonly ProcessEntry[] {
  if (process.platform !== 'linux') return [];
  return fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readEntry(Number(name)))
    .filter((entry) => entry !== undefined);
}

/** Children of `pid`, their children, and so on. */
export function descendants(pid: number): readonly ProcessIdentity[] {
  const entries = allEntries();
  const found: ProcessEntry[] = [];
  const parents = [pid];
  for (let parent = parents.pop(); parent !== undefined; parent = parents.pop()) {
    for (const entry of entries) {
      if (entry.parent !== parent) continue;
      found.push(entry);
      parents.push(entry.pid);
    }
  }
  return found;
}

/** Living processes whose command line or environment names `text`. */
export function processesNaming(text: string): readonly ProcessIdentity[] {
  return allEntries().filter(
    ({ pid }) => pid !== process.pid && ['cmdline', 'environ'].some((file) => holds(pid, file)),
  );

  function holds(pid: number, file: string): boolean {
    try {
      return fs.readFileSync(`/proc/${pid}/${file}`, 'utf8').includes(text);
    } catch {
      return false;
    }
  }
}

export function isAlive(identity: ProcessIdentity): boolean {
  return readEntry(identity.pid)?.startedAt === identity.startedAt;
}

/** Resolves when none of them lives any more. */
export async function allGone(
  identities: readonly ProcessIdentity[],
  what: string,
  timeoutMs = ceilingMs,
): Promise<void> {
  const left = (): readonly ProcessIdentity[] => identities.filter(isAlive);
  await until(
    () => (left().length === 0 ? true : undefined),
    () =>
      `${what} still run: ${left()
        .map(({ pid }) => `${pid} ${commandLine(pid)}`)
        .join('; ')}`,
    timeoutMs,
  );
}

/** The command line of a process, its arguments joined by spaces; empty where there is no such process. */
export function commandLine(pid: number): string {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}

/** Resident memory of `pid`, now and at its peak since {@link resetPeak}, in bytes. */
export function memory(pid: number): { readonly now: number; readonly peak: number } {
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
  return { now: field('VmRSS'), peak: field('VmHWM') };
}

/** Lets the peak of {@link memory} begin anew. */
export function resetPeak(pid: number): void {
  fs.writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

/** Open descriptors of `pid`. */
export function descriptorCount(pid: number): number {
  return fs.readdirSync(`/proc/${pid}/fd`).length;
}

/** Processor time that `pid` has used, in milliseconds, in steps of ten; 0 once it is gone. */
export function processorTime(pid: number): number {
  const fields = statFields(pid);
  return (Number(fields?.[11] ?? 0) + Number(fields?.[12] ?? 0)) * 10;
}

/** TCP ports on which a process and its descendants listen, as the kernel has it. */
export function tcpPortsOf(pid: number): readonly number[] {
  const inodes = new Set([pid, ...descendants(pid).map((one) => one.pid)].flatMap(socketsOf));
  return ['tcp', 'tcp6'].flatMap((table) => {
    const [, ...lines] = readOr(`/proc/${pid}/net/${table}`).split('\n');
    return lines.flatMap((line) => {
      const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
      return state === listening && inodes.has(inode) ? [Number.parseInt(local.split(':')[1] ?? '', 16)] : [];
    });
  });
}

/** `TCP_LISTEN` of the kernel. */
const listening = '0A';

/** Inodes of the sockets that a process has open. */
function socketsOf(pid: number): readonly string[] {
  try {
    return fs.readdirSync(`/proc/${pid}/fd`).flatMap((name) => {
      const inode = /^socket:\[(\d+)\]$/.exec(readLinkOr(`/proc/${pid}/fd/${name}`))?.[1];
      return inode === undefined ? [] : [inode];
    });
  } catch {
    return [];
  }
}

function readLinkOr(file: string): string {
  try {
    return fs.readlinkSync(file);
  } catch {
    return '';
  }
}

function readOr(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
