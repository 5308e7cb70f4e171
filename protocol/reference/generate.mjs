// Writes protocol/schema/*.json and the generated parts of PROTOCOL.md: `node protocol/reference/generate.mjs`.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const protocol = fileURLToPath(new URL('..', import.meta.url));
// Beside the sources, so that the packages are found from there.
const scratch = await mkdtemp(join(protocol, 'reference', '.generate-'));
try {
  const outfile = join(scratch, 'artifacts.mjs');
  await build({
    entryPoints: [join(protocol, 'reference', 'artifacts.ts')],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    logLevel: 'warning',
  });
  const { schemaFiles, withGeneratedParts } = await import(pathToFileURL(outfile).href);
  const schema = join(protocol, 'schema');
  for (const [name, text] of await schemaFiles(schema)) await writeFile(join(schema, name), text);
  const document = join(protocol, 'PROTOCOL.md');
  await writeFile(document, withGeneratedParts(await readFile(document, 'utf8')));
} finally {
  await rm(scratch, { recursive: true, force: true });
}
