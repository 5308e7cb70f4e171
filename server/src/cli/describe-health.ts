import type { BackendHealth, Health, ModelInfo } from '@hearth/protocol';

/** The daemon's health in a few lines for a person at a terminal. */
export function describeHealth(health: Health): string {
  const { admission } = health;
  return [
    `hearth ${health.version} is ${health.state} (process ${String(health.pid)}, up ${describeTime(health.uptimeMs)})`,
    ...(health.problem === undefined ? [] : [`  ${health.problem}`]),
    ...health.backends.map((backend) => `  ${describeBackend(backend)}`),
    `  permits ${String(admission.permitsInUse)} of ${String(admission.activePermits)} in use, queue ${String(admission.queued)} of ${String(admission.queueDepth)}`,
    ...(health.socketPath === undefined ? [] : [`  socket ${health.socketPath}`]),
    `  activity log ${health.logPath}`,
  ].join('\n');
}

function describeBackend(backend: BackendHealth): string {
  const { model } = backend;
  const parts = [`${backend.name}: ${backend.state.kind}`];
  if ('reason' in backend.state) parts.push(backend.state.reason);
  if (model !== undefined) parts.push(`${model.displayName}, ${String(model.contextSize)} tokens of context`);
  if (model?.threads !== undefined) parts.push(describeThreads(model.threads, model.threadsFrom));
  if (model?.batch !== undefined) parts.push(describeBatch(model.batch, model.batchFrom));
  if (model?.draft !== undefined) parts.push(describeDraft(model.draft));
  if (model?.accelerator !== undefined) parts.push(...describeAccelerator(model.accelerator));
  if (model?.driverReason !== undefined) parts.push(`through node-llama-cpp: ${model.driverReason}`);
  if (backend.tokensPerSecond !== undefined)
    parts.push(`${String(Math.round(backend.tokensPerSecond))} tokens/s`);
  if (backend.breaker !== 'closed') parts.push(`breaker ${backend.breaker.replace('_', ' ')}`);
  return parts.join(' · ');
}

const origins: Readonly<Record<NonNullable<ModelInfo['threadsFrom']>, string>> = {
  measured: 'measured',
  measured_busy: 'measured while other work ran',
  remembered: 'as measured before',
  configured: 'as set for this model',
  fixed: 'enough for a model this small',
};

function describeThreads(threads: number, from: ModelInfo['threadsFrom']): string {
  const count = `${String(threads)} thread${threads === 1 ? '' : 's'}`;
  return from === undefined ? count : `${count} (${origins[from]})`;
}

function describeBatch(batch: number, from: ModelInfo['batchFrom']): string {
  const text = `prompts by ${String(batch)} tokens`;
  return from === undefined || from === 'fixed' ? text : `${text} (${origins[from]})`;
}

function describeDraft(draft: NonNullable<ModelInfo['draft']>): string {
  return 'name' in draft ? `${draft.name} guesses ahead` : `no draft model: ${draft.problem}`;
}

/** What computes, and why nothing better does. */
function describeAccelerator(accelerator: NonNullable<ModelInfo['accelerator']>): readonly string[] {
  const { kind, device, gpuLayers, cpuVariant, reason } = accelerator;
  if (kind !== 'cpu')
    return [`${String(gpuLayers ?? 0)} layers by ${kind} on ${device ?? 'a graphics card'}`];
  const processor = cpuVariant === undefined ? 'on the processor' : `on the processor (${cpuVariant})`;
  return reason === undefined ? [processor] : [processor, `no graphics card: ${reason}`];
}

/** `4 s`, `3 min`, `2 h`: as coarse as a person wants it. */
function describeTime(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${String(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${String(minutes)} min` : `${String(Math.round(minutes / 60))} h`;
}
