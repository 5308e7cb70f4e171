import { HearthError } from '@hearth/protocol';
import { pullNamed } from '../../models/pull/pull-named.js';
import type { Manifest } from '../../models/store/manifest.js';
import { ModelStore } from '../../models/store/model-store.js';
import { isModelName, modelNameRule } from '../../models/store/model-name.js';
import { modelsHome } from '../../models/store/models-home.js';
import { type ExitCode, exitCodes } from '../exit-codes.js';
import { huggingFaceOf, pullPolicyOf } from '../open-models.js';
import { onInterrupt } from '../signals.js';
import { describeModel } from './describe-model.js';
import { showBytes } from './format.js';
import { ProgressBar } from './progress-bar.js';

export interface PullFlags {
  readonly name?: string;
  readonly sha256?: string;
  readonly tokenEnv?: string;
  readonly allowHost?: readonly string[];
  readonly json?: true;
}

/** `hearth pull`: fetches a model into the store. What has come stays where it ends early; the same command goes on. */
export async function pullCommand(source: string, flags: PullFlags): Promise<ExitCode> {
  if (flags.name !== undefined && !isModelName(flags.name))
    throw new HearthError('invalid_request', modelNameRule);
  const sha256 = flags.sha256?.toLowerCase();
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/u.test(sha256)) {
    throw new HearthError('invalid_request', '--sha256 takes 64 hexadecimal digits.');
  }
  const store = new ModelStore(modelsHome(process.env));
  const interrupted = onInterrupt();
  const bar = new ProgressBar();
  try {
    const { manifest, resumedBytes, alreadyThere } = await pullNamed(source, {
      store,
      name: flags.name,
      policy: pullPolicyOf(flags.allowHost ?? [], process.env),
      huggingFace: huggingFaceOf(process.env),
      token: process.env[flags.tokenEnv ?? 'HF_TOKEN'],
      signal: interrupted,
      onProgress: (progress) => bar.show(progress),
      ...(sha256 === undefined ? {} : { expected: { sha256, by: 'user' } }),
    });
    bar.clear();
    if (flags.json === true) {
      process.stdout.write(`${JSON.stringify({ model: manifest, resumedBytes, alreadyThere })}\n`);
      return exitCodes.ok;
    }
    if (alreadyThere) process.stdout.write(`${manifest.name} is in the store already.\n`);
    else {
      const went = resumedBytes === 0 ? '' : ` (${showBytes(resumedBytes)} were there from before)`;
      process.stdout.write(`Fetched ${describeModel(manifest)}${went}.\n`);
      if (manifest.source.kind === 'download' && manifest.source.checkedBy === 'nobody') {
        process.stdout.write('Nobody said what its SHA-256 should be: it is what the source sent, whole.\n');
      }
    }
    process.stdout.write(`${howToUse(manifest)}\n`);
    return exitCodes.ok;
  } catch (error) {
    bar.clear();
    if (!interrupted.aborted) throw error;
    process.stderr.write('hearth: stopped. What has come is kept: the same command goes on with it.\n');
    return exitCodes.interrupted;
  }
}

function howToUse({ name, purpose }: Manifest): string {
  switch (purpose) {
    case 'generate':
      return `Use it: hearth generate --model ${name} "…", or hearth serve --model ${name}`;
    case 'embed':
      return `Use it: hearth embed --model ${name} "…"`;
    case 'rerank':
      return `Use it: hearth rerank --model ${name} "query" < documents`;
    case 'projector':
      return 'It turns pictures into what another model reads, and is no model by itself.';
  }
}
