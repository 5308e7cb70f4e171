import type { ActivityLevel, ActivityRecord } from '@hearth/protocol';
import type { Row } from './row.js';

/** Which records the Activity view shows. Undefined: all. */
export interface ActivityFilter {
  /** This level and worse ones. */
  readonly level: ActivityLevel | undefined;
  readonly events: ReadonlySet<ActivityRecord['msg']> | undefined;
}

export const noFilter: ActivityFilter = { level: undefined, events: undefined };

const levels = ['debug', 'info', 'warn', 'error'] as const satisfies readonly ActivityLevel[];

/** Whether a record passes a filter. */
export function passes({ level, events }: ActivityFilter, record: ActivityRecord): boolean {
  if (events !== undefined && !events.has(record.msg)) return false;
  return level === undefined || levels.indexOf(record.level) >= levels.indexOf(level);
}

/** A filter in a few words, for the head of the view. Undefined where all is shown. */
export function filterWords({ level, events }: ActivityFilter): string | undefined {
  const words: string[] = [];
  if (level !== undefined) words.push(level === 'error' ? 'errors' : `${level} and worse`);
  if (events !== undefined)
    words.push(events.size === 1 ? [...events].map(eventWords).join('') : `${events.size} events`);
  return words.length === 0 ? undefined : words.join(', ');
}

/** The Activity view: newest first. */
export function activityRows(records: readonly ActivityRecord[], filter: ActivityFilter): readonly Row[] {
  const rows: Row[] = [];
  /** Records of one millisecond are told apart by their number. */
  const seen = new Map<string, number>();
  for (const record of records) {
    const key = `${record.t}/${record.msg}`;
    const number = (seen.get(key) ?? 0) + 1;
    seen.set(key, number);
    if (passes(filter, record)) rows.push(activityRow(record, `activity/${key}/${number}`));
  }
  return rows.reverse();
}

/** An event's name as people write it. */
export function eventWords(event: ActivityRecord['msg']): string {
  return event.replaceAll('_', ' ');
}

function activityRow(record: ActivityRecord, id: string): Row {
  const time = new Date(record.t).toLocaleTimeString('en-GB');
  const details = detailsOf(record);
  return {
    id,
    label: eventWords(record.msg),
    description: [time, summary(record)].filter((text) => text !== '').join(' · '),
    ...icons[record.level],
    spoken: `${record.level}: ${eventWords(record.msg)}, ${time}`,
    tooltip: [
      `**${eventWords(record.msg)}** (${record.level}, ${record.component})`,
      `| | |\n|---|---|\n| time | \`${record.t}\` |\n${details.map(([name, value]) => `| ${name} | \`${value}\` |`).join('\n')}`,
    ].join('\n\n'),
    kind: 'hearth.activity',
  };
}

const icons = {
  debug: { icon: 'debug-stackframe-dot' },
  info: { icon: 'info' },
  warn: { icon: 'warning', iconColor: 'list.warningForeground' },
  error: { icon: 'error', iconColor: 'list.errorForeground' },
} as const satisfies Record<ActivityLevel, Pick<Row, 'icon' | 'iconColor'>>;

/** The fields of a record beside time, level, component and name, in a form that a table cell can hold. */
function detailsOf(record: ActivityRecord): readonly (readonly [string, string])[] {
  const { t: _time, level: _level, component: _component, msg: _name, ...details } = record;
  return Object.entries(details).map(
    ([name, value]) => [name, String(value).replace(/[`|\r\n]/g, ' ')] as const,
  );
}

/** What matters most of a record, in a few words. */
function summary(record: ActivityRecord): string {
  switch (record.msg) {
    case 'request_done':
      return `${record.completion_tokens} tokens in ${record.total_ms} ms (${record.stop_reason})`;
    case 'request_cancelled':
      return `in ${record.stage}, after ${record.completion_tokens} tokens`;
    case 'request_rejected':
    case 'request_error_pre_stream':
      return record.code;
    case 'backend_state':
      return `${record.backend}: ${record.state}`;
    case 'model_loaded':
      return `${record.model} in ${record.load_ms} ms`;
    case 'model_unloaded':
      return `${record.model} (${record.why})`;
    case 'model_pulled':
    case 'model_switched':
    case 'model_removed':
      return record.model;
    case 'model_pull_failed':
      return record.code;
    case 'model_quarantined':
    case 'breaker_opened':
    case 'breaker_closed':
    case 'request_error_mid_stream':
      return record.backend;
    case 'connection_accepted':
    case 'connection_closed':
    case 'request_oversized':
    case 'write_timeout':
      return record.transport;
    case 'connections_shed':
      return `${record.count} over the limit of ${record.limit}`;
    case 'peer_rejected':
      return `user ${record.peer_uid}`;
    case 'daemon_started':
      return `process ${record.pid}`;
    case 'daemon_ready':
      return `after ${record.startup_ms} ms`;
    case 'daemon_draining':
      return `${record.in_flight} running, ${record.queued} waiting`;
    case 'daemon_stopped':
      return `after ${record.uptime_s} s`;
    case 'tcp_auth_rejected':
      return record.peer;
    case 'http_refused':
      return record.count === 1 ? `status ${record.status}` : `${record.count} with status ${record.status}`;
    case 'engine_event':
      return `${record.model}: ${record.kind.replaceAll('_', ' ')}`;
    case 'journal_recovered':
      return `${record.messages} messages kept, ${record.cut_bytes} bytes cut off`;
    case 'shutdown_flush_failed':
      return `${record.channels} durable channels not saved`;
    case 'internal_error':
      return record.where;
  }
}
