import { HearthError } from '@hearth/protocol';
import { addAccelerator, npmRegistry } from '../../accelerators/add-accelerator.js';
import { type FetchedKind, kindNames } from '../../accelerators/kinds.js';
import { buildFor } from '../../accelerators/packages.js';
import { ModelStore } from '../../models/store/model-store.js';
import { modelsHome } from '../../models/store/models-home.js';
import { type ExitCode, exitCodes } from '../exit-codes.js';
import { showBytes } from '../models/format.js';
import { ProgressBar } from '../models/progress-bar.js';
import { makeDeviceChoice, pullPolicyOf } from '../open-models.js';
import { onInterrupt } from '../signals.js';
import type { AddFlags } from './accelerator-commands.js';
import { readKind } from './kind-argument.js';

/** `hearth accelerator add`: fetches the build for a kind of card, then says whether it works on this machine. */
export async function addCommand(kindText: string, flags: AddFlags): Promise<ExitCode> {
  const kind = readKind(kindText);
  const interrupted = onInterrupt();
  const bar = new ProgressBar();
  const bytes = (buildFor(kind)?.packages ?? []).reduce((sum, one) => sum + one.bytes, 0);
  if (bytes > 0) process.stderr.write(`The ${kindNames[kind]} build is ${showBytes(bytes)} to fetch.\n`);
  try {
    const added = await addAccelerator({
      kind,
      store: new ModelStore(modelsHome(process.env)),
      registry: readRegistry(flags.registry),
      moreHosts: flags.allowHost ?? [],
      offline: pullPolicyOf([], process.env).offline,
      signal: interrupted,
      onProgress: ({ packageName, bytes: downloadedBytes, totalBytes }) => {
        bar.show({ phase: 'download', downloadedBytes, totalBytes, sourceUrl: packageName });
      },
    });
    bar.clear();
    process.stdout.write(
      added.alreadyThere
        ? `The ${kindNames[kind]} build is there already.\n`
        : `Added the ${kindNames[kind]} build (${showBytes(added.bytes)}).\n`,
    );
    await sayWhetherItWorks(kind, interrupted);
    return exitCodes.ok;
  } catch (error) {
    bar.clear();
    if (!interrupted.aborted) throw error;
    process.stderr.write('hearth: stopped. What has come is kept: the same command goes on with it.\n');
    return exitCodes.interrupted;
  }
}

async function sayWhetherItWorks(kind: FetchedKind, signal: AbortSignal): Promise<void> {
  const device = await (await makeDeviceChoice(kind)).choose(signal);
  if (device.kind === 'cpu') {
    process.stdout.write(
      `It does not work here, so the processor goes on computing. ${device.reason ?? ''}\n` +
        `\`hearth accelerator remove ${kind}\` removes it.\n`,
    );
    return;
  }
  const { name, freeBytes, totalBytes } = device;
  process.stdout.write(
    `It works: ${name}, ${showBytes(freeBytes)} of ${showBytes(totalBytes)} free. A daemon that runs uses it for the models ` +
      'that it loads from now on; `hearth stop` ends it, so that it begins anew.\n',
  );
}

/** npm's own setting is taken where a program of npm's runs us, or somebody has exported it. */
function readRegistry(text: string | undefined): URL {
  const given = text === undefined || text === '' ? npmRegistry : text;
  const url = URL.canParse(given) ? new URL(given) : undefined;
  if (url !== undefined && url.username === '' && url.password === '' && url.search === '') return url;
  throw new HearthError(
    'invalid_request',
    '--registry takes the https address of an npm registry, without a password.',
  );
}
