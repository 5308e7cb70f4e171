import type { Health, ModelsRequest, StreamInfo } from '@hearth/protocol';
import { showBytes } from '../models/model-items.js';
import type { SidecarState } from '../sidecar/state.js';
import { escapeMarkdown } from '../status/status-text.js';
import { backendRows } from '../views/backend-rows.js';
import type { Row } from '../views/row.js';
import { streamRows } from '../views/stream-rows.js';

/** What `@hearth` tells of the daemon, in Markdown. Nothing here asks a model. */

/** How it is: what serves, with its figures, and how much is in use. */
export function healthReport(health: Health | undefined, state: SidecarState): string {
  const rows = asList(backendRows(health, state));
  if (health === undefined) {
    const nothing = rows === '' ? 'Hearth is not running. “Hearth: Restart Sidecar” starts it.' : rows;
    return state.kind === 'failed' ? `${nothing}\n\nIt failed: ${escapeMarkdown(state.reason)}` : nothing;
  }
  const problem = health.problem === undefined ? '' : `\n\n**Problem:** ${escapeMarkdown(health.problem)}`;
  const minutes = Math.round(health.uptimeMs / 60_000);
  const since = minutes === 0 ? 'less than a minute' : `${minutes} min`;
  return `Hearth ${escapeMarkdown(health.version)} is **${health.state}** on this machine, as process ${health.pid}, for ${since}.\n\n${rows}${problem}`;
}

/** The models that there are, the chosen one first, with those that the daemon has from elsewhere. */
export function modelsReport(
  { models, freeBytes }: ModelsRequest.Result,
  health: Health | undefined,
): string {
  const listed = new Set(models.map(({ name }) => name));
  const others = (health?.backends ?? []).flatMap(({ model, state }) =>
    model === undefined || listed.has(model.id)
      ? []
      : [`- ${escapeMarkdown(model.displayName)}: \`${model.id}\` · ${state.kind}`],
  );
  if (models.length + others.length === 0) return 'There is no model yet. Add one below.';
  const rows = models
    .toSorted((one, other) => Number(other.chosen) - Number(one.chosen))
    .map(({ displayName, name, sizeBytes, state, chosen, purpose, contextLength }) => {
      const words = [
        `\`${name}\``,
        ...(sizeBytes > 0 ? [showBytes(sizeBytes)] : []),
        state === 'absent' ? 'not loaded' : state,
        ...(purpose === 'generate' ? [] : [purpose]),
        ...(contextLength === undefined
          ? []
          : [`trained for ${contextLength.toLocaleString('en-US')} tokens`]),
      ];
      return `- ${chosen ? '**' : ''}${escapeMarkdown(displayName)}${chosen ? '** (answers now)' : ''}: ${words.join(' · ')}`;
    });
  return `${[...rows, ...others].join('\n')}\n\n${showBytes(freeBytes)} of memory are free.`;
}

/** What runs and what waits. */
export function queueReport(health: Health | undefined, streams: readonly StreamInfo[]): string {
  const { permitsInUse = 0, activePermits = 0, queued = 0, queueDepth = 0 } = health?.admission ?? {};
  if (health === undefined) return 'Hearth is not running, so nothing waits.';
  const figures = `Running: ${permitsInUse} of ${activePermits}. Waiting: ${queued} of ${queueDepth}.`;
  return streams.length === 0
    ? `Nothing is being generated. ${figures}`
    : `${asList(streamRows(streams))}\n\n${figures}`;
}

/** Rows of a view as a list. */
function asList(rows: readonly Row[], indent = ''): string {
  return rows
    .map(({ label, description, children = [] }) => {
      const line = `${indent}- **${escapeMarkdown(label)}**${description === undefined ? '' : `: ${escapeMarkdown(description)}`}`;
      return children.length === 0 ? line : `${line}\n${asList(children, `${indent}  `)}`;
    })
    .join('\n');
}
