import { isDeepStrictEqual } from 'node:util';
import { type ActivityEvent, type AdminFrame, type LoadPhase, wireVersion } from '@hearth/protocol';
import type { Engine } from '../engine/engine.js';
import type { RecordActivity } from '../record-activity.js';
import type { StatusBoard } from './status-board.js';

/** What {@link DaemonNews} knows of the daemon. */
export interface DaemonNewsParts {
  readonly board: StatusBoard;
  readonly record: RecordActivity;
  /** Whether the inference sockets are bound: from then on a load is news and no state. */
  readonly isServing: () => boolean;
  readonly isStopping: () => boolean;
  readonly allReady: () => boolean;
  /** Where the inference protocol is served over TCP; undefined: it is not. */
  readonly tcpAddress: () => string | undefined;
  /** The health of the daemon has changed. */
  readonly onHealth: () => void;
}

/** Says on the admin socket and in the log what becomes of the daemon and its engines. */
export class DaemonNews {
  readonly #parts: DaemonNewsParts;

  constructor(parts: DaemonNewsParts) {
    this.#parts = parts;
  }

  /** The daemon can serve. */
  ready(): void {
    const tcp = this.#parts.tcpAddress();
    this.#publish({ status: 'ready', ...(tcp === undefined ? {} : { tcp }) });
  }

  /** Says that the daemon is ready where it is: after news that would otherwise be the last word. */
  readyAgain(): void {
    const { isServing, isStopping, allReady } = this.#parts;
    if (isServing() && !isStopping() && allReady()) this.ready();
  }

  draining(): void {
    this.#publish({ status: 'draining' });
  }

  /** How far the load or the fetching of a model is that the daemon was not started with. */
  loading(phase: LoadPhase): void {
    const { board, isServing } = this.#parts;
    const frame: AdminFrame = { ...envelope, status: 'loading_model', ...phase };
    if (isServing()) board.tell(frame);
    else board.publish(frame);
  }

  /** Follows an engine for as long as it lives. One that comes on demand does not become the daemon's state. */
  follow(engine: Engine, comes: 'at_start' | 'on_demand'): void {
    const { board, record, isServing, isStopping, onHealth } = this.#parts;
    let told: AdminFrame | undefined;
    const tellCapabilities = (): void => {
      const frame = capabilitiesOf(engine);
      if (isDeepStrictEqual(frame, told)) return;
      told = frame;
      board.publish(frame);
    };
    tellCapabilities();
    engine.events.on('phase', (phase) => {
      const status = isServing() && comes === 'at_start' ? 'restarting' : 'loading_model';
      const frame: AdminFrame = { ...envelope, status, ...phase };
      if (comes === 'at_start') board.publish(frame);
      else board.tell(frame);
      if (phase.phase === 'quarantine') record('error', 'models', quarantineEvent(engine, phase));
    });
    engine.events.on('state', (state) => {
      onHealth();
      if (state.kind === 'loading') return;
      // What a model can do is known once it is loaded.
      if (state.kind === 'ready') tellCapabilities();
      record(state.kind === 'failed' || state.kind === 'restarting' ? 'warn' : 'info', 'engine', {
        msg: 'backend_state',
        backend: engine.name,
        state: state.kind,
        ...('reason' in state ? { reason: state.reason } : {}),
      });
      if (comes === 'at_start' && state.kind !== 'stopped' && isServing() && !isStopping())
        this.#tellChange(engine);
    });
  }

  /** What becomes of an engine that was ready once. Where it stays away for good, nothing here says `ready`. */
  #tellChange({ name, state }: Engine): void {
    if (this.#parts.allReady()) this.ready();
    if (state.kind === 'restarting') this.#publish({ status: 'restarting' });
    if (state.kind === 'failed') this.#publish({ status: 'failed', backend: name, reason: state.reason });
  }

  #publish(frame: Unwrapped<AdminFrame>): void {
    this.#parts.board.publish({ ...envelope, ...frame });
  }
}

/** A frame without what every frame of the admin socket begins with. */
type Unwrapped<Frame> = Frame extends unknown ? Omit<Frame, keyof typeof envelope> : never;

const envelope = { id: 'admin', type: 'status' } as const;

/** What a backend can do. */
function capabilitiesOf({ name, capabilities, accelerator, gpuLayers, device }: Engine): AdminFrame {
  const { vision, tools, thinking, embed, rerank } = capabilities;
  return {
    ...envelope,
    status: 'capabilities',
    backend: name,
    wire_version: wireVersion,
    v2: true,
    vision,
    audio: false,
    tools,
    thinking,
    embed,
    rerank,
    accelerator,
    gpu_layers: gpuLayers,
    ...(device === undefined ? {} : { device_name: device.name, vram_total_bytes: device.totalBytes }),
  };
}

function quarantineEvent(engine: Engine, phase: LoadPhase & { phase: 'quarantine' }): ActivityEvent {
  return {
    msg: 'model_quarantined',
    backend: engine.name,
    expected_sha256: phase.expected_sha256,
    actual_sha256: phase.actual_sha256,
    moved: phase.quarantine_path !== phase.path,
  };
}
