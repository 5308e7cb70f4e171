import type { BackendHealth, Health, ModelInfo } from '@hearth/protocol';
import type { SidecarState } from '../sidecar/state.js';
import { cautionText, escapeMarkdown, fileSize, phaseWords, tokenRate } from '../status/status-text.js';
import type { Row } from './row.js';

/**
 * The Backends view: one row for each backend with its figures below, and one for what is in use. While no sidecar
 * speaks, a row says what is being done about it; empty where nothing is.
 */
export function backendRows(health: Health | undefined, state: SidecarState): readonly Row[] {
  if (health === undefined) return sidecarRows(state);
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
    // Of a model elsewhere nobody knows.
    if (model.sizeBytes > 0) children.push(figure('size', 'Size', fileSize(model.sizeBytes), 'file-binary'));
    if (model.accelerator !== undefined) children.push(acceleratorRow(name, model.accelerator));
    children.push(figure('infill', 'Fill in the middle', model.infill ? 'yes' : 'no', 'insert'));
  }
  if (tokensPerSecond !== undefined)
    children.push(figure('speed', 'Speed', tokenRate(tokensPerSecond), 'dashboard'));
  children.push(
    figure('breaker', 'Breaker', breakerWords[breaker], breaker === 'closed' ? 'pass' : 'warning'),
  );
  if (workerPid !== undefined)
    children.push(figure('worker', 'Worker process', String(workerPid), 'server-process'));
  const caution = model === undefined ? undefined : cautionText(model);
  return {
    id: `backend/${name}`,
    label: model?.displayName ?? name,
    description: stateWords(backend),
    ...stateIcon(backend),
    tooltip: `**${escapeMarkdown(model?.displayName ?? name)}** as backend \`${name}\`: ${escapeMarkdown(stateWords(backend))}${caution === undefined ? '' : `\n\n${caution}`}`,
    kind: caution === undefined ? 'hearth.backend' : 'hearth.backendWithCaution',
    children,
  };
}

/** What computes, and in the tooltip why it is not a graphics card. */
function acceleratorRow(name: string, accelerator: NonNullable<ModelInfo['accelerator']>): Row {
  const { kind, device, gpuLayers, cpuVariant, reason } = accelerator;
  const processor = cpuVariant === undefined ? 'processor' : `processor (${cpuVariant})`;
  const card = `${device ?? 'graphics card'} by ${kind}, ${String(gpuLayers ?? 0)} layers`;
  const id = `backend/${name}/accelerator`;
  if (kind !== 'cpu') return { id, label: 'Computed by', description: card, icon: 'chip' };
  if (reason === undefined) return { id, label: 'Computed by', description: processor, icon: 'chip' };
  return {
    id,
    label: 'Computed by',
    description: `${processor}: no graphics card`,
    icon: 'warning',
    tooltip: escapeMarkdown(reason),
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
    description: `${permitsInUse}/${activePermits} running, ${queued}/${queueDepth} waiting`,
    icon: 'list-ordered',
    tooltip: [
      `${permitsInUse} of ${activePermits} places in use, ${queued} of ${queueDepth} places in the queue.`,
      `Requests of all clients share them. Daemon ${escapeMarkdown(version)}, process ${pid}.`,
    ].join('\n\n'),
    spoken: `Requests: ${permitsInUse} of ${activePermits} running, ${queued} of ${queueDepth} waiting`,
    kind: 'hearth.admission',
  };
}

function sidecarRows(state: SidecarState): readonly Row[] {
  const row = { id: 'sidecar', label: 'Sidecar', kind: 'hearth.sidecar' };
  switch (state.kind) {
    case 'starting':
    case 'loading':
    case 'ready':
      return [{ ...row, description: 'starting', icon: 'loading~spin' }];
    case 'restarting': {
      const description = `restarting (${state.attempt}): ${state.reason}`;
      return [{ ...row, description, icon: 'sync~spin', iconColor: 'list.warningForeground' }];
    }
    case 'failed':
    case 'stopped':
      return [];
  }
}
