import { describeFailure } from './cli/describe-failure.js';
import type { ExitCode } from './cli/exit-codes.js';
import { isSidecar, sidecar } from './cli/sidecar.js';

/**
 * The `hearth` command. This much is loaded by every process, as one CommonJS file, which Node starts fastest: a sidecar
 * that becomes a relay needs no more. The rest lies in a bundle of its own, with classes of its own: what crosses over
 * is used by its shape, and errors are described on the side that threw them.
 */
async function main(args: readonly string[]): Promise<ExitCode> {
  const program = (): Promise<typeof import('./cli/program.js')> => import('./cli/program.js');
  if (!isSidecar(args)) return (await program()).runCommandLine(args);
  try {
    return await sidecar(args, async (...given) => (await program()).runCommandLine(...given));
  } catch (error) {
    const failure = describeFailure(error);
    process.stderr.write(`hearth: ${failure.text}\n`);
    return failure.exitCode;
  }
}

void main(process.argv.slice(2)).then((code) => {
  process.exitCode = code;
});
