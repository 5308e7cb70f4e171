import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { Plugin } from 'esbuild';
import type { EngineChunk } from '../engine.js';
import type { LlamaEngine } from './llama-engine.js';
import { resolveSampling } from '@hearth/protocol';
import type {
  GenerationInput,
  OutputFormat,
  ResolvedGeneration,
  Sampling,
  StopReason,
  Usage,
} from '@hearth/protocol';

/** What tests of the engine share. */

const repository = fileURLToPath(new URL('../../../..', import.meta.url));

/** A worker's bundle, made for one test file. */
export interface TestWorker {
  readonly path: string;
  /** Removes it. */
  dispose(): Promise<void>;
}

/** What is different in a test's worker. */
export interface TestWorkerOptions {
  /** Takes every grammar, so that one reaches llama.cpp that would be refused. */
  readonly withoutGrammarGuard?: boolean;
}

/** Bundles the worker as it is now. It lies inside the repository, so that it finds its packages. */
export async function bundleTestWorker({
  withoutGrammarGuard = false,
}: TestWorkerOptions = {}): Promise<TestWorker> {
  const entry = new URL('./worker/main.ts', import.meta.url);
  return bundleScript(entry, 'engine-worker.mjs', withoutGrammarGuard ? [noGrammarGuard] : []);
}

/** Bundles a script for a process of its own, in a folder of its own, where the packages that it needs are found. */
export async function bundleScript(entry: URL, name: string, plugins: Plugin[] = []): Promise<TestWorker> {
  const cache = path.join(repository, 'node_modules/.cache/hearth');
  await mkdir(cache, { recursive: true });
  const folder = await mkdtemp(path.join(cache, 'script-'));
  const outfile = path.join(folder, name);
  await build({
    entryPoints: [fileURLToPath(entry)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    conditions: ['hearth-source'],
    external: ['node-llama-cpp', 'koffi'],
    plugins,
    logLevel: 'silent',
  });
  return { path: outfile, dispose: () => rm(folder, { recursive: true, force: true }) };
}

/** In the drivers; what makes grammars of schemas keeps its bounds. */
const noGrammarGuard: Plugin = {
  name: 'no-grammar-guard',
  setup(bundle) {
    bundle.onResolve({ filter: /grammar-guard\.js$/ }, ({ importer }) =>
      importer.endsWith('-driver.ts') ? { path: 'none', namespace: 'no-grammar-guard' } : undefined,
    );
    bundle.onLoad({ filter: /.*/, namespace: 'no-grammar-guard' }, () => ({
      contents: 'export const refuseGrammar = () => undefined;',
    }));
  },
};

/** Resolves with the state that `engine` is in once it is of one of these kinds. */
export async function reaches(
  engine: LlamaEngine,
  ...kinds: readonly LlamaEngine['state']['kind'][]
): Promise<LlamaEngine['state']> {
  if (kinds.includes(engine.state.kind)) return engine.state;
  return new Promise((resolve) => {
    const listen = (state: LlamaEngine['state']): void => {
      if (!kinds.includes(state.kind)) return;
      engine.events.off('state', listen);
      resolve(state);
    };
    engine.events.on('state', listen);
  });
}

/** A request for `input`, greedily and for 32 tokens unless `sampling` says otherwise. */
export function requestFor(
  input: GenerationInput,
  sampling: Partial<Sampling> = {},
  format: OutputFormat = { kind: 'text' },
): ResolvedGeneration {
  return { input, sampling: { ...greedy, ...sampling }, format, cacheScope: undefined };
}

/** A conversation of one message. */
export function chatInput(text: string): GenerationInput {
  return {
    kind: 'chat',
    messages: [{ role: 'user', content: [{ kind: 'text', text }] }],
    tools: [],
    toolChoice: { kind: 'none' },
    parallelToolCalls: true,
    thinking: undefined,
    thinkingBudget: undefined,
  };
}

/** A request to continue `prompt` within `grammar`. */
export function grammarRequest(
  prompt: string,
  grammar: string,
  sampling: Partial<Sampling> = {},
): ResolvedGeneration {
  return requestFor({ kind: 'raw', prompt }, sampling, { kind: 'gbnf', grammar });
}

/** A request to continue `prompt`, greedily and for 32 tokens unless `sampling` says otherwise. */
export function rawRequest(prompt: string, sampling: Partial<Sampling> = {}): ResolvedGeneration {
  return requestFor({ kind: 'raw', prompt }, sampling);
}

export const greedy: Sampling = {
  ...resolveSampling({ temperature: 0, top_p: 1, top_k: 0 }, []),
  maxTokens: 32,
};

/** A whole generation. */
export interface Collected {
  readonly text: string;
  readonly chunks: readonly string[];
  readonly stopReason: StopReason;
  readonly usage: Usage;
}

/** Reads a generation to its end. */
export async function collect(chunks: AsyncIterable<EngineChunk>): Promise<Collected> {
  const texts: string[] = [];
  for await (const chunk of chunks) {
    if (chunk.kind === 'token') texts.push(chunk.text);
    else if (chunk.kind === 'done')
      return { text: texts.join(''), chunks: texts, stopReason: chunk.stopReason, usage: chunk.usage };
  }
  throw new Error('the generation ended without done');
}
