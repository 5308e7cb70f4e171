import type { FetchedKind } from './kinds.js';

/** One npm package with libraries of llama.cpp. */
export interface EnginePackage {
  /** Behind `@node-llama-cpp/`. */
  readonly name: string;
  /** SHA-512 of the package as npm says it, in base64, read from the registry when the version was chosen. */
  readonly sha512: string;
  /** Size of the package in bytes, for people. */
  readonly bytes: number;
}

/** A build for one machine: what to fetch. */
export interface EngineBuild {
  readonly packages: readonly EnginePackage[];
}

/** The version of node-llama-cpp whose builds these are. Libraries of another one do not go together with it. */
export const engineVersion = '3.21.1';

/** Most bytes of one package as fetched, and of all its files: the largest is 177 MB, with 374 MB of files. */
export const mostPackageBytes = 512 * 1024 * 1024;
export const mostUnpackedBytes = 1024 * 1024 * 1024;

const linuxCuda: EngineBuild = {
  packages: [
    {
      name: 'linux-x64-cuda',
      sha512: 'idsE55VoD/FbvLhnBC9krUJaUoC0XnebseAAnCpm/brKf61HEbu+idgbb5eN6mxkjLSrHtILprJ0nDcUJjVrFg==',
      bytes: 142_850_036,
    },
    // For drivers that are too old for the first.
    {
      name: 'linux-x64-cuda-ext',
      sha512: '1PuURowccBcks3CCoMe1mTHh5vD0V5bFHMUEgtbI/OSDjpP+Pdbn+lf42CGUrepTzR8kCH1HovQ7d8q6/vuIKA==',
      bytes: 176_679_086,
    },
  ],
};
const linuxVulkan: EngineBuild = {
  packages: [
    {
      name: 'linux-x64-vulkan',
      sha512: 'flEeSzONQ6OIm5bYKLQf4eEnBzcC5WugFbyPUwkCqyyOFZ8pH0H9ulQ7ZNDLSIczeKneMRJornlyY1Hq7d3GDA==',
      bytes: 27_476_121,
    },
  ],
};
const windowsCuda: EngineBuild = {
  packages: [
    {
      name: 'win-x64-cuda',
      sha512: 'PLz70neFEMkQTlmJqG1ujUtCSgHasLPMxQ9rLkqQVmZYAXqkRj+45TIHCjdn3XqUeaoun0vrO9rRaxZ8NVq9jg==',
      bytes: 138_542_727,
    },
    {
      name: 'win-x64-cuda-ext',
      sha512: 'L2MxLVEYPDDe4O8EDWPmX6brldc9+Vt9hNoT/anj3pSnmrjkQcmaoKhHs6oP5qhEhb5Uog0rj6lgzNGtJO3p9Q==',
      bytes: 175_417_684,
    },
  ],
};
const windowsVulkan: EngineBuild = {
  packages: [
    {
      name: 'win-x64-vulkan',
      sha512: 'HJ237Azh5m4Sz+w3A1IU/fYLaSDOocskcfn2ILTgqTuuORCB86EMnu3Yt/XsNhRHTtEiwz1Q/E0mO4PLIbZLAA==',
      bytes: 26_619_567,
    },
  ],
};

const builds: Readonly<Record<string, Readonly<Record<FetchedKind, EngineBuild>>>> = {
  'linux-x64': { vulkan: linuxVulkan, cuda: linuxCuda },
  'win32-x64': { vulkan: windowsVulkan, cuda: windowsCuda },
};

/** The build of a kind for a machine such as `linux-x64`; undefined: there is none. */
export function buildFor(kind: FetchedKind, machine = thisMachine()): EngineBuild | undefined {
  return builds[machine]?.[kind];
}

/** Folder of a build within `bins/` of its packages, which share it. */
export function folderOf(kind: FetchedKind, machine = thisMachine()): string {
  return `${machine.replace(/^win32-/u, 'win-')}-${kind}`;
}

/** Platform and architecture of this process, as in `linux-x64`. */
export function thisMachine(): string {
  return `${process.platform}-${process.arch}`;
}
