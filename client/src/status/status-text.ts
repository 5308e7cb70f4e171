import type { Health, ModelInfo } from '@hearth/protocol';
import type { SidecarState } from '../sidecar/state.js';

/** What the status bar shows of a state. `text` may hold `$(icons)`; `spoken` is the same for a screen reader. */
export interface StatusText {
  readonly text: string;
  readonly spoken: string;
  readonly severity: 'none' | 'warning' | 'error';
}

export function statusText(state: SidecarState): StatusText {
  switch (state.kind) {
    case 'starting':
      return plain('$(loading~spin) Hearth: starting', 'Hearth is starting');
    case 'loading': {
      const progress = state.progress === undefined ? '' : ` ${Math.round(state.progress * 100)} %`;
      return plain(
        `$(loading~spin) Hearth: ${phaseWords(state.phase)}${progress}`,
        `Hearth: ${phaseWords(state.phase)}${progress}`,
      );
    }
    case 'ready': {
      const speed = state.tokensPerSecond === undefined ? '' : ` · ${tokenRate(state.tokensPerSecond)}`;
      return plain(
        `$(flame) ${state.model.displayName}${speed}`,
        `Hearth is ready with ${state.model.displayName}`,
      );
    }
    case 'restarting':
      return {
        text: `$(sync~spin) Hearth: restarting (${state.attempt})`,
        spoken: `Hearth is restarting, try ${state.attempt}`,
        severity: 'warning',
      };
    case 'failed':
      return { text: '$(error) Hearth: failed', spoken: `Hearth failed. ${state.reason}`, severity: 'error' };
    case 'stopped':
      return plain('$(circle-slash) Hearth: stopped', 'Hearth is stopped');
  }
}

/** What loading is at, in words. */
export function phaseWords(phase: Extract<SidecarState, { kind: 'loading' }>['phase']): string {
  switch (phase) {
    case 'checking_local':
      return 'looking for the model';
    case 'download':
      return 'downloading the model';
    case 'verify':
      return 'verifying the model';
    case 'quarantine':
      return 'setting a wrong model aside';
    case 'mmap':
      return 'loading the model';
    case 'kv_cache':
      return 'preparing the context';
  }
}

/** A speed such as `1,830 tok/s`, or `8.5 tok/s` where it is slow. */
export function tokenRate(tokensPerSecond: number): string {
  const digits = tokensPerSecond < 10 ? 1 : 0;
  return `${tokensPerSecond.toLocaleString('en-US', { maximumFractionDigits: digits })} tok/s`;
}

/** A size such as `4.6 MB`. */
export function fileSize(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(unit === 0 || value >= 100 ? 0 : 1)} ${units[unit] ?? ''}`;
}

/** The tooltip, as Markdown with command links. @param more paragraphs of other parts of the extension */
export function statusTooltip(
  state: SidecarState,
  health: Health | undefined,
  more: readonly string[] = [],
): string {
  const parts = ['**Hearth** keeps one local model warm for this machine.', ...describeState(state)];
  if (health !== undefined) parts.push(admissionTable(health));
  parts.push(...more, links(state));
  return parts.join('\n\n');
}

function describeState(state: SidecarState): readonly string[] {
  switch (state.kind) {
    case 'ready':
      return describeModel(state.model);
    case 'failed':
      return [`$(error) ${escapeMarkdown(state.reason)}`];
    case 'restarting':
      return [
        `$(sync) ${escapeMarkdown(state.reason)} Trying again (${state.attempt}) after ${state.delayMs / 1000} s.`,
      ];
    case 'loading':
      return [`The model is being made ready: ${phaseWords(state.phase)}.`];
    case 'starting':
    case 'stopped':
      return [];
  }
}

function describeModel(model: ModelInfo): readonly string[] {
  const size = `${fileSize(model.sizeBytes)}, ${model.contextSize.toLocaleString('en-US')} tokens of context`;
  const caution = cautionText(model);
  return [
    `$(flame) **${escapeMarkdown(model.displayName)}** (${size})`,
    ...(caution === undefined ? [] : [caution]),
  ];
}

/** What one should know of a model before one trusts it, with a link to a better one, as Markdown; undefined: nothing. */
export function cautionText({ caution }: Pick<ModelInfo, 'caution'>): string | undefined {
  if (caution === undefined) return undefined;
  return `$(warning) ${escapeMarkdown(caution)} [Use the best model for this machine](command:hearth.useBestModel)`;
}

function admissionTable({ admission }: Health): string {
  const { permitsInUse, activePermits, queued, queueDepth } = admission;
  return `${permitsInUse} of ${activePermits} running · ${queued} of ${queueDepth} waiting`;
}

function links(state: SidecarState): string {
  const model = '[Choose another model](command:hearth.chooseModel)';
  const ask = state.kind === 'ready' ? ['[Ask…](command:hearth.ask)'] : [];
  return [
    ...ask,
    '[Show log](command:hearth.showLog)',
    '[Restart](command:hearth.restartSidecar)',
    model,
  ].join(' · ');
}

/** Makes text stand for itself in Markdown. */
export function escapeMarkdown(text: string): string {
  return text.replace(/[\\`*_{}[\]()#+\-!|<>$&]/g, '\\$&');
}

function plain(text: string, spoken: string): StatusText {
  return { text, spoken, severity: 'none' };
}
