import type { ActivityEvent, ActivityLevel } from '@hearth/protocol';

/** Says that something happened. Never throws, never waits: a log that fails changes no response. */
export type RecordActivity = (level: ActivityLevel, component: string, event: ActivityEvent) => void;
