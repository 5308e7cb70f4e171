import { promises as fs } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import * as z from 'zod';
import { parseSplitName } from '../split/split-name.js';

/** Model files that other programs have fetched. Their files are used where they are, and never written to. */

export interface FoundModel {
  readonly from: 'ollama' | 'lm-studio' | 'hugging-face';
  /** What that program calls it, such as `qwen3:4b`. */
  readonly title: string;
  /** Absolute path of the GGUF file. */
  readonly path: string;
  /** Where that program says it. */
  readonly sha256?: string;
}

/** Most files that are looked at in one place, and how deep. */
const bounds = { entries: 20_000, depth: 6, manifestBytes: 256 * 1024 } as const;

/** Everything that can be found in the usual places, or where the environment says that those programs keep it. */
export async function findOthers(env: NodeJS.ProcessEnv): Promise<readonly FoundModel[]> {
  const home = env['HOME'] ?? os.homedir();
  const found = await Promise.all([
    findOllama(env['OLLAMA_MODELS'] ?? path.join(home, '.ollama', 'models')),
    findLmStudio(path.join(home, '.lmstudio', 'models')),
    findLmStudio(path.join(home, '.cache', 'lm-studio', 'models')),
    findHuggingFace(
      env['HF_HUB_CACHE'] ?? path.join(env['HF_HOME'] ?? path.join(home, '.cache', 'huggingface'), 'hub'),
    ),
  ]);
  return found.flat();
}

const ollamaManifest = z.object({
  layers: z
    .array(z.object({ mediaType: z.string(), digest: z.string().regex(/^sha256:[0-9a-f]{64}$/u) }))
    .max(64),
});

/** `manifests/<registry>/<namespace>/<model>/<tag>` names layers, which lie in `blobs/sha256-<hash>`. */
export async function findOllama(root: string): Promise<readonly FoundModel[]> {
  const found: FoundModel[] = [];
  for await (const file of filesBelow(path.join(root, 'manifests'))) {
    const manifest = await readJson(file);
    const parsed = ollamaManifest.safeParse(manifest);
    if (!parsed.success) continue;
    const layer = parsed.data.layers.find(
      ({ mediaType }) => mediaType === 'application/vnd.ollama.image.model',
    );
    if (layer === undefined) continue;
    const sha256 = layer.digest.slice('sha256:'.length);
    const [tag = '', model = '', namespace = ''] = file.split(path.sep).toReversed();
    const title = `${namespace === 'library' ? '' : `${namespace}/`}${model}:${tag}`;
    found.push({ from: 'ollama', title, path: path.join(root, 'blobs', `sha256-${sha256}`), sha256 });
  }
  return found;
}

/** `<publisher>/<repository>/<file>.gguf`. */
export async function findLmStudio(root: string): Promise<readonly FoundModel[]> {
  const found: FoundModel[] = [];
  for await (const file of filesBelow(root)) {
    if (isModel(file)) found.push({ from: 'lm-studio', title: path.basename(file), path: file });
  }
  return found;
}

/** `models--<owner>--<repository>/snapshots/<revision>/<file>.gguf`, a link to `blobs/<sha256>`. */
export async function findHuggingFace(root: string): Promise<readonly FoundModel[]> {
  const found = new Map<string, FoundModel>();
  for await (const file of filesBelow(root)) {
    if (!isModel(file) || !file.includes(`${path.sep}snapshots${path.sep}`)) continue;
    const target = await fs.realpath(file).catch(() => undefined);
    // A link may lead anywhere; those of the cache stay in it.
    if (target === undefined || path.relative(await fs.realpath(root), target).startsWith('..')) continue;
    // The others of a model in several files lie beside the link, under their names.
    if (parseSplitName(path.basename(file)) !== undefined) {
      found.set(target, { from: 'hugging-face', title: path.basename(file), path: file });
      continue;
    }
    const name = path.basename(target);
    const sha256 = /^[0-9a-f]{64}$/u.test(name) ? { sha256: name } : {};
    found.set(target, { from: 'hugging-face', title: path.basename(file), path: target, ...sha256 });
  }
  return [...found.values()];
}

/** A model file, or the first of several; not a projector beside one. */
function isModel(file: string): boolean {
  const name = path.basename(file);
  const isLater = (parseSplitName(name)?.index ?? 1) > 1;
  return /\.gguf$/iu.test(name) && !isLater && !/^mmproj/iu.test(name);
}

/** Files and links to files below a directory, within bounds; nothing where it is missing. */
async function* filesBelow(root: string): AsyncGenerator<string, void, undefined> {
  let left: number = bounds.entries;
  const open = [{ place: root, depth: 0 }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { place, depth } = next;
    const entries = await fs.readdir(place, { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      left -= 1;
      if (left < 0) return;
      const file = path.join(place, entry.name);
      if (entry.isDirectory() && depth < bounds.depth) open.push({ place: file, depth: depth + 1 });
      else if (entry.isFile() || entry.isSymbolicLink()) yield file;
    }
  }
}

async function readJson(file: string): Promise<unknown> {
  const found = await fs.stat(file).catch(() => undefined);
  if (found === undefined || !found.isFile() || found.size > bounds.manifestBytes) return undefined;
  try {
    return JSON.parse(await fs.readFile(file, 'utf8')) as unknown;
  } catch {
    return undefined;
  }
}
