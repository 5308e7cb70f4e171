import { readFile, readdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { FfiUnavailable } from './unavailable.js';

/** The shared libraries of one build of llama.cpp, as node-llama-cpp's platform packages ship them. */
export interface Libraries {
  /** Where the backends lie. */
  readonly folder: string;
  /** Absolute paths, in the order in which they have to be loaded. */
  readonly ggmlBase: string;
  readonly ggml: string;
  readonly llama: string;
  /** For example `v0.4.0`. */
  readonly release: string;
}

/** Longest file that tells what a build was made from. */
const mostMetadataBytes = 64 * 1024;

/**
 * Finds the libraries of this platform without loading any of node-llama-cpp's own code.
 *
 * @param from The URL of the module from which packages are looked for.
 * @throws FfiUnavailable where there are none.
 */
export async function findLibraries(from: string): Promise<Libraries> {
  const name = platformPackage(process.platform, process.arch);
  const entry = resolvePackage(from, name);
  const bins = path.join(path.dirname(entry), '..', 'bins');
  for (const folder of await readdir(bins).catch(() => [])) {
    const found = await readFolder(path.join(bins, folder));
    if (found !== undefined) return found;
  }
  throw new FfiUnavailable(`The package ${name} holds no llama.cpp libraries that are understood.`);
}

/** The libraries of one folder; undefined where one is missing. */
export async function readFolder(folder: string): Promise<Libraries | undefined> {
  const names = await readdir(folder).catch(() => []);
  const pick = (pattern: RegExp): string | undefined => {
    const name = names.find((one) => pattern.test(one));
    return name === undefined ? undefined : path.join(folder, name);
  };
  const ggmlBase = pick(/^(?:lib)?ggml-base\.(?:so|dylib|dll)$/u);
  const ggml = pick(/^(?:lib)?ggml(?:\.\w+)?\.v[\d.]+\.(?:so|dylib|dll)$/u);
  const llama = pick(/^(?:lib)?llama(?:\.\w+)?\.v[\d.]+\.(?:so|dylib|dll)$/u);
  const release = await readRelease(path.join(folder, '_nlcBuildMetadata.json'));
  if (ggmlBase === undefined || ggml === undefined || llama === undefined || release === undefined) {
    return undefined;
  }
  return { folder, ggmlBase, ggml, llama, release };
}

const systems: ReadonlyMap<string, string> = new Map([
  ['linux', 'linux'],
  ['darwin', 'mac'],
  ['win32', 'win'],
]);

/** The CPU package of a platform. On a Mac with Apple silicon there is only the one with Metal. */
function platformPackage(platform: NodeJS.Platform, architecture: string): string {
  const system = systems.get(platform);
  if (system === undefined) throw new FfiUnavailable(`There is no llama.cpp build for ${platform}.`);
  const metal = system === 'mac' && architecture === 'arm64' ? '-metal' : '';
  return `@node-llama-cpp/${system}-${architecture}${metal}`;
}

function resolvePackage(from: string, name: string): string {
  try {
    return createRequire(from).resolve(name);
  } catch (error) {
    throw new FfiUnavailable(`The package ${name} is not installed.`, { cause: error });
  }
}

async function readRelease(file: string): Promise<string | undefined> {
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined || text.length > mostMetadataBytes) return undefined;
  const release = dig(parse(text), ['buildOptions', 'llamaCpp', 'release']);
  return typeof release === 'string' ? release : undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function dig(value: unknown, names: readonly string[]): unknown {
  let current = value;
  for (const name of names) {
    if (typeof current !== 'object' || current === null) return undefined;
    current = new Map<string, unknown>(Object.entries(current)).get(name);
  }
  return current;
}
