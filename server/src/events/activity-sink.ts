import type { RecordActivity } from '../record-activity.js';
import type { EventSink } from './event-bus.js';

/** Notes engine events in the activity log: what becomes of engines as `engine_event`. Requests have their own records there. */
export function activitySink(record: RecordActivity): EventSink {
  return {
    name: 'activity',
    emit: (event) => {
      if (!('model' in event) || 'route' in event) return;
      const level = event.kind === 'engine_error' ? 'warn' : 'info';
      record(level, 'engine', { msg: 'engine_event', kind: event.kind, model: event.model });
    },
  };
}
