import path from 'node:path';

/** What of llama-server may be set freely (row 113), and where its program may lie (row 114). */

const allowed = new Set(
  `--flash-attn -fa --cache-type-k -ctk --cache-type-v -ctv --mlock --no-mmap --batch-size -b --ubatch-size -ub
   --threads-batch -tb --threads-http --cont-batching -cb --no-cont-batching -nocb --jinja --no-jinja
   --reasoning-format --reasoning-budget --temp --top-k --top-p --min-p --seed -s --repeat-penalty --repeat-last-n
   --presence-penalty --frequency-penalty --n-predict -n --keep --rope-scaling --rope-scale --rope-freq-base
   --rope-freq-scale --yarn-orig-ctx --yarn-ext-factor --yarn-attn-factor --yarn-beta-slow --yarn-beta-fast
   --embedding --embeddings --pooling --reranking --rerank --metrics --no-slots --no-webui --no-warmup --warmup
   --split-mode -sm --tensor-split -ts --main-gpu -mg --cpu-moe -cmoe --n-cpu-moe -ncmoe --swa-full --cache-reuse
   --cache-ram --kv-unified --no-kv-unified --no-kv-offload -nkvo --no-context-shift --context-shift --numa --prio
   --poll --draft-max --draft-min --draft-p-min --timeout -to --slot-prompt-similarity -sps`
    .split(/\s+/)
    .filter((flag) => flag !== ''),
);

/** An argument that may not be given freely. */
export class ForbiddenArgument extends Error {
  override readonly name = 'ForbiddenArgument';
}

/**
 * Lets flags of the allow-list through. Model, port, host, layers, threads, context and parallel are set by the
 * configuration alone; flags that read files, open URLs or hold keys are not on the list.
 *
 * @throws ForbiddenArgument that names the first other flag.
 */
export function checkExtraArgs(args: readonly string[]): void {
  for (const argument of args) {
    // Values are passed as they are; a negative number is one.
    if (!argument.startsWith('-') || /^-\d/.test(argument)) continue;
    const flag = argument.split('=', 1)[0] ?? '';
    if (!allowed.has(flag)) {
      const shown = /^-{1,2}[a-z0-9-]{1,40}$/i.test(flag) ? flag : 'a flag';
      throw new ForbiddenArgument(`extra_args: ${shown} may not be set here`);
    }
  }
}

/** Where programs lie that only an administrator can replace. A prefix need not end at a folder. */
export const binaryPrefixes = [
  '/usr/local/bin/',
  '/usr/bin/',
  '/opt/homebrew/bin/',
  '/opt/llama-',
  '/opt/llama.cpp/',
] as const;

/**
 * The real path of the llama-server to run.
 *
 * @param realPath Resolves links, as `fs.realpathSync`; throws where there is nothing.
 * @throws ForbiddenArgument where it lies elsewhere or is called otherwise, once links and `..` are resolved.
 */
export function checkBinary(
  file: string,
  realPath: (file: string) => string,
  prefixes: readonly string[] = binaryPrefixes,
): string {
  if (!path.isAbsolute(file) || file.includes('\0'))
    throw new ForbiddenArgument('llama_server_bin: give an absolute path');
  let real: string;
  try {
    real = realPath(file);
  } catch (cause) {
    throw new ForbiddenArgument('llama_server_bin: there is no such file', { cause });
  }
  if (!prefixes.some((prefix) => real.startsWith(prefix)))
    throw new ForbiddenArgument(`llama_server_bin: it must lie below one of ${prefixes.join(', ')}`);
  if (!/^llama-server(-[A-Za-z0-9]+)?$/.test(path.basename(real)))
    throw new ForbiddenArgument('llama_server_bin: the program must be called llama-server');
  return real;
}
