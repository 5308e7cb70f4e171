import type { BackendHealth, Health } from '@hearth/protocol';
import { escapeMarkdown, fileSize, phaseWords, tokenRate } from '../status/status-text.js';
import type { Row } from './row.js';

/** The Backends view: one row for admission, and one for each backend with its figures below. */
export function backendRows(health: Health | undefined): readonly Row[] {
  if (health === undefined) return [];
  return [...health.backends.map(backendRow), admissionRow(health)];
}

function backendRow(backend: BackendHealth): Row {
  const { name, model, breaker, workerPid, tokensPerSecond } = backend;
  const figure = (key: string, label: string, description: string, icon: string): Row => ({
    id: `backend/${name}/${key}`,
    label,
    description,
    icon,
  });
  const children: Row[] = [];
  if (model !== undefined) {
    children.push(
      figure('context', 'Context', `${model.contextSize.toLocaleString('en-US')} tokens`, 'book'),
    );
    children.push(figure('size', 'Size', fileSize(model.sizeBytes), 'file-binary'));
    children.push(figure('infill', 'Fill in the middle', model.infill ? 'yes' : 'no', 'insert'));
  }
  if (tokensPerSecond !== undefined)
    children.push(figure('speed', 'Speed', tokenRate(tokensPerSecond), 'dashboard'));
  children.push(
    figure('breaker', 'Breaker', breakerWords[breaker], breaker === 'closed' ? 'pass' : 'warning'),
  );
  if (workerPid !== undefined)
    children.push(figure('worker', 'Worker process', String(workerPid), 'server-process'));
  const caution = model?.caution === undefined ? '' : `\n\n$(warning) ${escapeMarkdown(model.caution)}`;
  return {
    id: `backend/${name}`,
    label: model?.displayName ?? name,
    description: stateWords(backend),
    ...stateIcon(backend),
    tooltip: `**${escapeMarkdown(model?.displayName ?? name)}** as backend \`${name}\`: ${escapeMarkdown(stateWords(backend))}${caution}`,
    kind: 'hearth.backend',
    children,
  };
}

const breakerWords = {
  closed: 'closed',
  open: 'open: it failed too often and rests',
  half_open: 'half open: the next request is a trial',
} as const satisfies Record<BackendHealth['breaker'], string>;

function stateWords({ state }: BackendHealth): string {
  switch (state.kind) {
    case 'loading': {
      const progress = state.progress === undefined ? '' : ` ${Math.round(state.progress * 100)} %`;
      return `${phaseWords(state.phase)}${progress}`;
    }
    case 'restarting':
      return `restarting (${state.attempt}): ${state.reason}`;
    case 'failed':
      return `failed: ${state.reason}`;
    case 'starting':
    case 'ready':
    case 'stopped':
      return state.kind;
  }
}

function stateIcon({ state }: BackendHealth): Pick<Row, 'icon' | 'iconColor'> {
  switch (state.kind) {
    case 'ready':
      return { icon: 'pass-filled', iconColor: 'testing.iconPassed' };
    case 'failed':
      return { icon: 'error', iconColor: 'testing.iconFailed' };
    case 'stopped':
      return { icon: 'circle-slash' };
    case 'restarting':
      return { icon: 'sync~spin', iconColor: 'list.warningForeground' };
    case 'starting':
    case 'loading':
      return { icon: 'loading~spin' };
  }
}

function admissionRow({ admission, pid, version }: Health): Row {
  const { permitsInUse, activePermits, queued, queueDepth } = admission;
  return {
    id: 'admission',
    label: 'Requests',
    description: `${permitsInUse} of ${activePermits} running, ${queued} of ${queueDepth} waiting`,
    icon: 'list-ordered',
    tooltip: `Requests of all clients share these places. Daemon ${escapeMarkdown(version)}, process ${pid}.`,
    kind: 'hearth.admission',
    children: [
      {
        id: 'admission/running',
        label: 'Running',
        description: `${permitsInUse} of ${activePermits}`,
        icon: 'play',
      },
      { id: 'admission/waiting', label: 'Waiting', description: `${queued} of ${queueDepth}`, icon: 'watch' },
      { id: 'admission/daemon', label: 'Daemon process', description: `${pid}`, icon: 'server-process' },
    ],
  };
}
