import { commands, Disposable, window, type QuickPickItem } from 'vscode';
import type { ActivityLevel, ActivityRecord } from '@hearth/protocol';
import type { GhostText } from '../ghost-text/ghost-text.js';
import { outcomeRows } from '../ghost-text/outcome-rows.js';
import { throttled } from '../throttled.js';
import type { Sidecar } from '../sidecar/sidecar.js';
import { activityRows, eventWords, filterWords, noFilter, type ActivityFilter } from './activity-rows.js';
import { backendRows } from './backend-rows.js';
import type { Row } from './row.js';
import { RowTree } from './row-tree.js';
import { streamRows } from './stream-rows.js';

/** What the views show now, for tests. */
export interface ViewRows {
  readonly backends: readonly Row[];
  readonly streams: readonly Row[];
  readonly activity: readonly Row[];
}

export interface Views {
  readonly rows: () => ViewRows;
  readonly disposable: Disposable;
}

/** Least time between two redraws of a view, in milliseconds. */
const redrawMs = 200;

/** The three views of the Hearth container, kept up to date. */
export function showViews(sidecar: Sidecar, ghostText: GhostText): Views {
  const backends = new RowTree();
  const streams = new RowTree();
  const activity = new RowTree();
  const activityView = window.createTreeView('hearth.activity', {
    treeDataProvider: activity,
    showCollapseAll: false,
  });
  // A description alone would take the place of the title that the manifest gives.
  activityView.title = 'Activity';
  let filter: ActivityFilter = noFilter;

  const drawBackends = throttled(redrawMs, () =>
    backends.update(backendRows(sidecar.health(), sidecar.state())),
  );
  const drawStreams = throttled(redrawMs, () => streams.update(streamRows(sidecar.streams())));
  const drawActivity = throttled(redrawMs, () => {
    // What ghost text came to is no record of the log, so that a filter of records leaves it out.
    const ghostRows = filter === noFilter ? outcomeRows(ghostText.outcomes.all()) : [];
    activity.update([...ghostRows, ...activityRows(sidecar.activity(), filter)]);
  });
  sidecar.events.on('health', drawBackends.call);
  sidecar.events.on('state', drawBackends.call);
  sidecar.events.on('streams', drawStreams.call);
  sidecar.events.on('activity', drawActivity.call);
  ghostText.outcomes.events.on('changed', drawActivity.call);

  const setFilter = (next: ActivityFilter): void => {
    filter = next;
    const words = filterWords(next);
    activityView.description = words === undefined ? '' : `showing ${words}`;
    void commands.executeCommand('setContext', 'hearth.activityFiltered', words !== undefined);
    drawActivity.call();
  };

  const parts = Disposable.from(
    window.createTreeView('hearth.backends', { treeDataProvider: backends }),
    window.createTreeView('hearth.streams', { treeDataProvider: streams }),
    activityView,
    backends,
    streams,
    activity,
    drawBackends,
    drawStreams,
    drawActivity,
    commands.registerCommand('hearth.filterActivityByLevel', async () => {
      const level = await pickLevel(filter.level);
      if (level !== undefined) setFilter({ ...filter, level: level === 'all' ? undefined : level });
    }),
    commands.registerCommand('hearth.filterActivityByEvent', async () => {
      const events = await pickEvents(sidecar.activity(), filter.events);
      if (events !== undefined) setFilter({ ...filter, events: events.size === 0 ? undefined : events });
    }),
    commands.registerCommand('hearth.clearActivityFilter', () => setFilter(noFilter)),
  );
  return {
    rows: () => ({ backends: backends.rows, streams: streams.rows, activity: activity.rows }),
    disposable: new Disposable(() => {
      sidecar.events.off('health', drawBackends.call);
      sidecar.events.off('state', drawBackends.call);
      sidecar.events.off('streams', drawStreams.call);
      sidecar.events.off('activity', drawActivity.call);
      ghostText.outcomes.events.off('changed', drawActivity.call);
      parts.dispose();
    }),
  };
}

async function pickLevel(current: ActivityLevel | undefined): Promise<ActivityLevel | 'all' | undefined> {
  const choices: readonly (QuickPickItem & { readonly level: ActivityLevel | 'all' })[] = [
    { level: 'all', label: 'All levels' },
    { level: 'info', label: 'Info and worse' },
    { level: 'warn', label: 'Warnings and errors' },
    { level: 'error', label: 'Errors only' },
  ];
  const marked = choices.map((choice) =>
    choice.level === (current ?? 'all') ? { ...choice, description: 'shown now' } : choice,
  );
  return (await window.showQuickPick(marked, { placeHolder: 'Show records of which level?' }))?.level;
}

/** Offers the events that occur. Choosing none, or all, shows all. */
async function pickEvents(
  records: readonly ActivityRecord[],
  current: ReadonlySet<ActivityRecord['msg']> | undefined,
): Promise<ReadonlySet<ActivityRecord['msg']> | undefined> {
  const counts = new Map<ActivityRecord['msg'], number>();
  for (const { msg } of records) counts.set(msg, (counts.get(msg) ?? 0) + 1);
  const choices = [...counts].sort().map(([event, count]) => ({
    event,
    label: eventWords(event),
    description: `${count}`,
    picked: current?.has(event) ?? true,
  }));
  const chosen = await window.showQuickPick(choices, {
    canPickMany: true,
    placeHolder: 'Show which events?',
  });
  if (chosen === undefined) return undefined;
  return new Set(chosen.length === choices.length ? [] : chosen.map(({ event }) => event));
}
