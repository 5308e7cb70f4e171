import { type ExitCode, exitCodes } from '../exit-codes.js';
import { findPaths } from '../find-paths.js';
import type { DoctorFlags } from '../program.js';
import type { Finding } from './finding.js';
import { lookAtDaemon } from './look-at-daemon.js';
import { lookAtMachine } from './look-at-machine.js';

/** `hearth doctor`: looks at everything that a ready daemon needs, and says what to do about what is missing. */
export async function doctor(flags: DoctorFlags): Promise<ExitCode> {
  const paths = findPaths(flags.runtimeDir);
  const findings = [...(await lookAtMachine()), ...(await lookAtDaemon(paths))];
  const isFine = findings.every(({ verdict }) => verdict !== 'bad');
  if (flags.json === true) process.stdout.write(`${JSON.stringify({ ready: isFine, findings })}\n`);
  else process.stdout.write(`${findings.map(describe).join('\n')}\n`);
  return isFine ? exitCodes.ok : exitCodes.notReady;
}

const marks = { good: 'ok  ', warn: 'note', bad: 'BAD ' } as const;

function describe(finding: Finding): string {
  const detail = finding.detail.replaceAll('\n', '\n       ');
  const lines = [`${marks[finding.verdict]}  ${finding.title}: ${detail}`];
  if (finding.remedy !== undefined) lines.push(`      → ${finding.remedy}`);
  return lines.join('\n');
}
