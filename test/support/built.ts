import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const sources: Readonly<Record<string, readonly string[]>> = {
  'dist/hearth.cjs': ['protocol/src', 'protocol/node', 'server/src'],
  'dist/program.mjs': ['protocol/src', 'protocol/node', 'server/src'],
  'dist/engine-worker.mjs': ['protocol/src', 'protocol/node', 'server/src'],
  'dist/extension.cjs': ['protocol/src', 'client/src'],
};

/** vitest's global set-up for tests that drive the built program: a stale build would prove nothing. */
export default function requireBuilt(): void {
  for (const [bundle, folders] of Object.entries(sources)) {
    const built = statSync(path.join(root, bundle), { throwIfNoEntry: false });
    if (built === undefined) throw new Error(`${bundle} is missing. Run: npm run build`);
    const newest = folders.map((folder) => newestSource(path.join(root, folder))).reduce(later);
    if (built.mtimeMs < newest.changed) {
      throw new Error(`${bundle} is older than ${path.relative(root, newest.file)}. Run: npm run build`);
    }
  }
}

interface Source {
  readonly file: string;
  /** Milliseconds since 1970. */
  readonly changed: number;
}

function newestSource(folder: string): Source {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts'))
    .map((entry) => path.join(entry.parentPath, entry.name))
    .map((file): Source => ({ file, changed: statSync(file).mtimeMs }))
    .reduce(later, { file: folder, changed: 0 });
}

function later(left: Source, right: Source): Source {
  return right.changed > left.changed ? right : left;
}
