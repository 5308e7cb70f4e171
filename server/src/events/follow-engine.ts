import type { EngineEvent } from '@hearth/protocol';
import type { Engine } from '../engine/engine.js';

/** Tells what becomes of an engine: started, loaded, warm, restarting, failed, stopping. */
export function followEngine(engine: Engine, emit: (event: EngineEvent) => void): void {
  const model = (): string => engine.model?.id ?? engine.name;
  let isReady = false;
  let hasStarted = false;
  engine.events.on('state', (state) => {
    switch (state.kind) {
      case 'starting':
      case 'loading':
        if (!hasStarted) emit({ kind: 'engine_started', model: model(), port: 0 });
        hasStarted = true;
        return;
      case 'ready':
        if (!hasStarted) emit({ kind: 'engine_started', model: model(), port: 0 });
        hasStarted = true;
        if (isReady) return;
        isReady = true;
        emit({ kind: 'model_loaded', model: model() });
        // An engine is ready only once it has made its first token.
        emit({ kind: 'warm_up_complete', model: model() });
        return;
      case 'restarting':
        isReady = false;
        emit({ kind: 'engine_error', model: model(), error: 'restarting' });
        emit({ kind: 'engine_restarting', model: model(), attempt: state.attempt });
        return;
      case 'failed':
        isReady = false;
        emit({ kind: 'engine_error', model: model(), error: state.code });
        return;
      case 'stopped':
        emit({ kind: 'engine_stopping', model: model() });
    }
  });
}
