import { AcceleratorStore, type Installed } from '../../accelerators/accelerator-store.js';
import { fetchedKinds, kindNames } from '../../accelerators/kinds.js';
import { buildFor, thisMachine } from '../../accelerators/packages.js';
import { modelsHome } from '../../models/store/models-home.js';
import { type ExitCode, exitCodes } from '../exit-codes.js';
import { showBytes, showTable } from '../models/format.js';
import { makeDeviceChoice } from '../open-models.js';
import { onInterrupt } from '../signals.js';

/** One kind of build, as it is on this machine. */
export interface AcceleratorState {
  readonly kind: 'vulkan' | 'cuda' | 'metal';
  readonly state: 'works' | 'fails' | 'absent' | 'impossible';
  /** The card, why it fails, or how to get it. */
  readonly detail: string;
}

/** `hearth accelerator list`: what there is, what could be fetched, and whether what there is works. */
export async function listAccelerators({ json }: { readonly json?: true }): Promise<ExitCode> {
  const states = await lookAtAccelerators(onInterrupt());
  if (json === true) {
    process.stdout.write(`${JSON.stringify({ machine: thisMachine(), accelerators: states })}\n`);
    return exitCodes.ok;
  }
  const rows = states.map(({ kind, state, detail }) => [kindNames[kind], stateWords[state], detail]);
  process.stdout.write(`${showTable([['KIND', 'STATE', ''], ...rows])}\n`);
  return exitCodes.ok;
}

const stateWords = {
  works: 'works',
  fails: 'does not work',
  absent: 'not fetched',
  impossible: 'not for this machine',
} as const;

/** Every kind, with the outcome of a self-test where its build is there. */
export async function lookAtAccelerators(signal: AbortSignal): Promise<readonly AcceleratorState[]> {
  const store = new AcceleratorStore(modelsHome(process.env));
  const states: AcceleratorState[] = [];
  for (const kind of fetchedKinds) {
    const build = buildFor(kind);
    const found = await store.find(kind).catch((error: unknown) => error);
    if (build === undefined) {
      states.push({ kind, state: 'impossible', detail: '' });
    } else if (found === undefined) {
      const bytes = build.packages.reduce((sum, one) => sum + one.bytes, 0);
      const detail = `\`hearth accelerator add ${kind}\` fetches ${showBytes(bytes)}`;
      states.push({ kind, state: 'absent', detail });
    } else states.push(await tryKind(kind, found, signal));
  }
  if (thisMachine() === 'darwin-arm64') states.push(await tryKind('metal', undefined, signal));
  return states;
}

async function tryKind(
  kind: AcceleratorState['kind'],
  found: unknown,
  signal: AbortSignal,
): Promise<AcceleratorState> {
  const device = await (await makeDeviceChoice(kind)).choose(signal);
  const size = isInstalled(found) ? ` (${showBytes(found.bytes)} on disk)` : '';
  if (device.kind === 'cpu') {
    const reason = device.reason?.replace(`${kindNames[kind]}: `, '') ?? '';
    return { kind, state: 'fails', detail: `${reason}${size}` };
  }
  return {
    kind,
    state: 'works',
    detail: `${device.name}, ${showBytes(device.freeBytes)} of ${showBytes(device.totalBytes)} free${size}`,
  };
}

function isInstalled(found: unknown): found is Installed {
  return typeof found === 'object' && found !== null && 'bytes' in found;
}
