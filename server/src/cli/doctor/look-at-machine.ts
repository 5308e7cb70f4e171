import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { HearthError } from '@hearth/protocol';
import { kindNames } from '../../accelerators/kinds.js';
import { checkGguf } from '../../models/gguf-check.js';
import { resolveModel } from '../../models/resolve-model.js';
import { verifyFile } from '../../models/trust/hash-file.js';
import { lookAtAccelerators } from '../accelerators/list.js';
import { bad, type Finding, good, warn } from './finding.js';

/** Memory below which even a small model has no room beside an editor, in bytes. */
const littleMemory = 512 * 1024 * 1024;

/** Node, engine, memory and the embedded model: what a daemon would need if it were to start now. */
export async function lookAtMachine(): Promise<readonly Finding[]> {
  return [lookAtNode(), lookAtEngine(), ...(await lookAtCards()), lookAtMemory(), await lookAtModel()];
}

function lookAtNode(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const isSupported = major > 20 || (major === 20 && minor >= 19);
  if (isSupported) return good('Node', process.versions.node);
  return bad('Node', `${process.versions.node} is too old`, 'Install Node 20.19 or newer.');
}

function lookAtEngine(): Finding {
  const system = { darwin: 'mac', win32: 'win' }[process.platform as string] ?? process.platform;
  const name = `${system}-${process.arch}`;
  const names = system === 'mac' ? [name, `${name}-metal`] : [name];
  const folders = createRequire(import.meta.url).resolve.paths('@node-llama-cpp/any') ?? [];
  const found = names.find((name) =>
    folders.some((folder) => existsSync(path.join(folder, '@node-llama-cpp', name))),
  );
  if (found !== undefined) return good('Engine binary', `node-llama-cpp for ${found}`);
  return bad('Engine binary', `none for ${names.join(' or ')}`, 'Install Hearth again on this machine.');
}

/** Builds for graphics cards that were fetched, each with its self-test. Nobody needs one. */
async function lookAtCards(): Promise<readonly Finding[]> {
  const all = await lookAtAccelerators(new AbortController().signal);
  return all.flatMap(({ kind, state, detail }) => {
    const title = `Graphics card by ${kindNames[kind]}`;
    if (state === 'works') return [good(title, detail)];
    if (state !== 'fails') return [];
    return [
      warn(
        title,
        detail,
        `The processor computes. Mend what it says, or remove the build: \`hearth accelerator remove ${kind}\`.`,
      ),
    ];
  });
}

function lookAtMemory(): Finding {
  const free = process.availableMemory();
  const detail = `${formatBytes(free)} free of ${formatBytes(os.totalmem())}`;
  if (free >= littleMemory) return good('Memory', detail);
  return warn('Memory', detail, 'Close something, or use a small model.');
}

async function lookAtModel(): Promise<Finding> {
  try {
    const source = await resolveModel(undefined);
    await checkGguf(source.path);
    if (source.sha256 !== undefined)
      await verifyFile(source.path, source.sha256, new AbortController().signal);
    return good('Embedded model', `${source.displayName}, ${formatBytes(source.sizeBytes)}, checksum right`);
  } catch (error) {
    const detail = error instanceof HearthError ? error.message : 'it cannot be read';
    return bad('Embedded model', detail, 'Install Hearth again, or give a model with --model.');
  }
}

function formatBytes(bytes: number): string {
  return bytes < 1024 ** 3
    ? `${(bytes / 1024 ** 2).toFixed(1)} MiB`
    : `${(bytes / 1024 ** 3).toFixed(1)} GiB`;
}
