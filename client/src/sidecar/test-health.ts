import type { BackendHealth, Health, ModelInfo } from '@hearth/protocol';

/** A model for tests. */
export const testModel: ModelInfo = {
  id: 'pilot',
  displayName: 'Pilot',
  contextSize: 1024,
  sizeBytes: 4_611_424,
  infill: true,
};

/** A health for tests: ready with {@link testModel}, but for what is given. */
export function testHealth(backend: Partial<BackendHealth> = {}, health: Partial<Health> = {}): Health {
  return {
    state: 'ready',
    version: '0.1.0',
    pid: 100,
    uptimeMs: 1,
    adminSocketPath: '/run/admin.sock',
    logPath: '/log/activity.ndjson',
    backends: [{ name: 'llama', state: { kind: 'ready' }, breaker: 'closed', model: testModel, ...backend }],
    admission: { activePermits: 4, permitsInUse: 1, queueDepth: 10, queued: 2 },
    ...health,
  };
}
