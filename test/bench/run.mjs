import { readFileSync } from 'node:fs';
import process from 'node:process';

/** `npm run bench -- NAME [flags]`: measures, and prints. With `--help`: what NAME measures, and its flags. */

/** @type {Record<string, () => Promise<(args: string[]) => Promise<void>>>} */
const benches = {
  models: async () => (await import('./models.mjs')).models,
  core: async () => (await import('./core.mjs')).core,
  router: async () => (await import('./router.mjs')).router,
  events: async () => (await import('./events.mjs')).events,
  gateway: async () => (await import('./gateway.mjs')).gateway,
  engine: async () => (await import('./engine.mjs')).engine,
  'ghost-text': async () => (await import('./ghost-text.mjs')).ghostText,
};

const [name = '', ...args] = process.argv.slice(2);
const load = benches[name];
if (load === undefined) {
  process.stderr.write(`Which? npm run bench -- ${Object.keys(benches).join('|')} [--full] [--json FILE]\n`);
  process.exitCode = 2;
} else if (args.includes('--help')) {
  // Each bench says it at its head.
  const source = readFileSync(new URL(`${name}.mjs`, import.meta.url), 'utf8');
  const head = /\/\*\*\n( \*.*\n)+? \*\//u.exec(source)?.[0] ?? '';
  process.stdout.write(`${head.replace(/^\/\*\*\n|^ \* ?\/?/gmu, '').trim()}\n`);
} else {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));
  await (
    await load()
  )(args);
}
