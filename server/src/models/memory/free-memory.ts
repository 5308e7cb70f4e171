import { promises as fs } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

/** What limits the memory that can still be had. */
export interface FreeMemory {
  readonly bytes: number;
  /** `machine`: all of it; `container`: a control group of the kernel allows less. */
  readonly limitedBy: 'machine' | 'container';
}

/** No control group of Linux's first version has a limit beyond this. */
const unlimited = 2 ** 60;

/**
 * Memory that a new process can take without anything being swapped out or killed: what the machine has available,
 * or what the tightest of the control groups around this process leaves, of version 1 or 2.
 *
 * @param root of the file system, for tests
 */
export async function freeMemory(root = '/', available = process.availableMemory()): Promise<FreeMemory> {
  const machine = (await readMemAvailable(root)) ?? available;
  const groups = (await read(root, 'proc/self/cgroup')) ?? '';
  let least = Infinity;
  for (const line of groups.split('\n')) {
    const [number = '', controllers = '', ...rest] = line.split(':');
    const group = rest.join(':');
    const version = number === '0' && controllers === '' ? 2 : 1;
    if (group === '' || (version === 1 && !controllers.split(',').includes('memory'))) continue;
    for (const place of withAncestors(group)) least = Math.min(least, await leftOf(root, version, place));
  }
  return least < machine
    ? { bytes: Math.max(0, least), limitedBy: 'container' }
    : { bytes: machine, limitedBy: 'machine' };
}

/** A limit further out holds as well. In a container the outermost that can be seen is the root of the tree. */
function withAncestors(group: string): readonly string[] {
  const places: string[] = [];
  for (let place = path.posix.normalize(group); ; place = path.posix.dirname(place)) {
    places.push(place);
    if (place === '/' || place === '.') return places;
  }
}

const files = {
  2: { base: 'sys/fs/cgroup', limit: 'memory.max', used: 'memory.current', cache: 'inactive_file' },
  1: {
    base: 'sys/fs/cgroup/memory',
    limit: 'memory.limit_in_bytes',
    used: 'memory.usage_in_bytes',
    cache: 'total_inactive_file',
  },
} as const;

async function leftOf(root: string, version: 1 | 2, group: string): Promise<number> {
  const { base, limit, used, cache } = files[version];
  const place = path.posix.join(base, group);
  const most = Number.parseInt((await read(root, path.posix.join(place, limit))) ?? '', 10);
  // `max`, or no such file.
  if (!Number.isFinite(most) || most >= unlimited) return Infinity;
  const taken = Number.parseInt((await read(root, path.posix.join(place, used))) ?? '0', 10);
  const stat = (await read(root, path.posix.join(place, 'memory.stat'))) ?? '';
  // Pages of files that nobody has used for a while are given up before anything is killed.
  const reclaimable = Number(new RegExp(`^${cache} (\\d+)$`, 'mu').exec(stat)?.[1] ?? 0);
  return most - taken + Math.min(reclaimable, taken);
}

async function readMemAvailable(root: string): Promise<number | undefined> {
  const found = /^MemAvailable:\s+(\d+) kB$/mu.exec((await read(root, 'proc/meminfo')) ?? '')?.[1];
  return found === undefined ? undefined : Number(found) * 1024;
}

async function read(root: string, file: string): Promise<string | undefined> {
  return fs.readFile(path.join(root, file), 'utf8').catch(() => undefined);
}
