import { lstat } from 'node:fs/promises';
import type { ActivityRecord, Health } from '@hearth/protocol';
import { ActivityAppended, HealthRequest, SubscribeRequest } from '@hearth/protocol';
import { prepareRuntimeDirectory, type RuntimePaths } from '../../lock/runtime-directory.js';
import { StartupError } from '../../lock/startup-error.js';
import { describeHealth } from '../describe-health.js';
import { openRpc, silenceMs, silentText } from '../open-rpc.js';
import { bad, type Finding, good, warn } from './finding.js';

/** The runtime directory and whoever serves there. */
export async function lookAtDaemon(paths: RuntimePaths): Promise<readonly Finding[]> {
  const directory = await lookAtDirectory(paths);
  if (directory.verdict === 'bad') return [directory];
  return [directory, ...(await lookAtSockets(paths)), ...(await lookAtHealth(paths))];
}

async function lookAtDirectory(paths: RuntimePaths): Promise<Finding> {
  try {
    await prepareRuntimeDirectory(paths, process.getuid?.());
    return good('Runtime directory', paths.directory);
  } catch (error) {
    if (!(error instanceof StartupError)) throw error;
    return bad('Runtime directory', error.message, 'Do what it says, then look again.');
  }
}

async function lookAtSockets(paths: RuntimePaths): Promise<readonly Finding[]> {
  if (process.platform === 'win32') return [];
  const wanted = [
    { path: paths.inference, mode: 0o660 },
    { path: paths.admin, mode: 0o600 },
    { path: paths.rpc, mode: 0o600 },
  ];
  const findings = await Promise.all(
    wanted.map(async ({ path, mode }) => {
      const found = await lstat(path).catch(() => undefined);
      if (found === undefined) return [];
      const seen = found.mode & 0o777;
      if (found.isSocket() && seen === mode) return [];
      const detail = `${path} has mode ${seen.toString(8)} where ${mode.toString(8)} belongs`;
      return [
        warn(
          'Socket',
          detail,
          'Somebody has changed it. End the daemon with `hearth stop` and start it again.',
        ),
      ];
    }),
  );
  return findings.flat();
}

async function lookAtHealth(paths: RuntimePaths): Promise<readonly Finding[]> {
  const remedy = 'Start one: open VS Code with the extension, or run `hearth serve`.';
  const seen = await ask(paths).catch(() => 'silent' as const);
  if (seen === 'silent') return [bad('Daemon', silentText, 'Its process number is in the lock file.')];
  if (seen === undefined) return [bad('Daemon', `none runs at ${paths.directory}`, remedy)];
  const { health, records } = seen;
  const findings = [
    health.state === 'ready'
      ? good('Daemon', describeHealth(health))
      : bad('Daemon', describeHealth(health), remedyFor(health)),
  ];
  const last = records.findLast(({ level }) => level === 'error' || level === 'warn');
  if (health.logProblem !== undefined) {
    const detail = `records do not reach the disk (${health.logProblem})`;
    findings.push(warn('Activity log', detail, `Make room, or make ${health.logPath} writable.`));
  }
  if (last !== undefined)
    findings.push(warn('Last trouble', describeRecord(last), `Look at ${health.logPath}.`));
  return findings;
}

function remedyFor(health: Health): string {
  switch (health.state) {
    case 'starting':
    case 'loading':
      return 'Wait: `hearth watch` shows how far it has got.';
    case 'draining':
      return 'It is shutting down. Start it again when it has ended.';
    case 'failed':
      return 'Mend what it says, then end it with `hearth stop` and start it again.';
    case 'ready':
      return '';
  }
}

function describeRecord(record: ActivityRecord): string {
  const backend = 'backend' in record && record.backend !== undefined ? ` (${record.backend})` : '';
  const reason = 'reason' in record && record.reason !== undefined ? `: ${record.reason}` : '';
  return `${record.t} ${record.msg}${backend}${reason}`;
}

async function ask(
  paths: RuntimePaths,
): Promise<{ readonly health: Health; readonly records: readonly ActivityRecord[] } | undefined> {
  const rpc = await openRpc(paths.rpc);
  if (rpc === undefined) return undefined;
  rpc.socket.setTimeout(silenceMs, rpc.close);
  try {
    const records = new Promise<readonly ActivityRecord[]>((resolve) => {
      rpc.connection.onNotification(ActivityAppended.type, (appended) => {
        resolve(appended.records);
      });
    });
    rpc.connection.listen();
    const health = await rpc.connection.sendRequest(HealthRequest.type);
    await rpc.connection.sendRequest(SubscribeRequest.type, { channels: ['activity'] });
    return { health, records: await records };
  } finally {
    rpc.close();
  }
}
