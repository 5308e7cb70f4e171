import { table } from '../corpus/report.js';
import { passes } from './calibrate.js';
import type { Evaluation, PlaceResult } from './evaluate.js';
import { mean, shareOf, type Share } from './metrics.js';

/** A model in the report, by the name it has there. */
export interface Column {
  readonly name: string;
  readonly evaluation: Evaluation;
}

/** EVAL.md's tables: the same measurements of several model files, side by side. */
export function evaluationReport(columns: readonly Column[], xz: Readonly<Record<string, number>>): string {
  const names = columns.map(({ name }) => name);
  const row = (what: string, cell: (evaluation: Evaluation) => string): readonly string[] => [
    what,
    ...columns.map(({ evaluation }) => cell(evaluation)),
  ];
  const single = ({ places }: Evaluation): readonly PlaceResult[] =>
    places.filter(({ kind }) => kind !== 'lines');
  const several = ({ places }: Evaluation): readonly PlaceResult[] =>
    places.filter(({ kind }) => kind === 'lines');
  const speaks = (evaluation: Evaluation): readonly PlaceResult[] =>
    single(evaluation).filter(
      (place) => !place.fitted && place.shown && passes(evaluation.thresholds, place),
    );
  const judged = (evaluation: Evaluation): readonly PlaceResult[] =>
    single(evaluation).filter((place) => !place.fitted);
  return [
    table(
      ['file', ...names],
      [
        row('name', ({ file }) => file),
        row('bytes', ({ sizeBytes }) => String(sizeBytes)),
        row('sha256', ({ sha256 }) => sha256),
        row('context', ({ contextSize }) => String(contextSize)),
        row('tokens a second, one thread', ({ tokensPerSecond }) => tokensPerSecond.toFixed(0)),
        row('first suggestion after the start of the load, ms', ({ firstSuggestionMs }) =>
          firstSuggestionMs.toFixed(0),
        ),
      ],
    ),
    '## Bits per byte on held-out packages (lower is better)',
    table(
      ['language', 'bytes', ...names, 'xz -9e'],
      Object.entries(columns[0]?.evaluation.bitsPerByte ?? {}).map(([language, { bytes }]) => [
        language,
        bytes,
        ...columns.map(({ evaluation }) => (evaluation.bitsPerByte[language]?.bits ?? 0).toFixed(3)),
        xz[language]?.toFixed(3) ?? 'not measured',
      ]),
    ),
    '## Fill in the middle on held-out packages (greedy)',
    table(
      ['measure', ...names],
      [
        row('one line, exact', (one) => percent(shareOf(single(one), isRight))),
        row('one line, exact: whole line', (one) => percent(shareOf(of(single(one), 'line'), isRight))),
        row('one line, exact: rest of the line', (one) => percent(shareOf(of(single(one), 'tail'), isRight))),
        ...(['ts', 'js', 'py'] as const).map((language) =>
          row(`one line, exact: ${language}`, (one) =>
            percent(
              shareOf(
                single(one).filter((place) => place.language === language),
                isRight,
              ),
            ),
          ),
        ),
        row('one line, edit similarity', (one) =>
          percentOf(mean(single(one).map(({ similarity }) => similarity))),
        ),
        row('one line, exact where our rules show something', (one) =>
          percent(
            shareOf(
              single(one).filter(({ shown }) => shown),
              isRight,
            ),
          ),
        ),
        row('keeps the grammar (ts, js)', (one) =>
          percent(
            shareOf(
              single(one).filter(({ parses }) => parses !== undefined),
              ({ parses }) => parses === true,
            ),
          ),
        ),
        row('two to four lines, exact', (one) => percent(shareOf(several(one), isRight))),
        row('two to four lines, edit similarity', (one) =>
          percentOf(mean(several(one).map(({ similarity }) => similarity))),
        ),
        row('speaks, with thresholds fitted on the other half', (one) =>
          percentOf(speaks(one).length / Math.max(1, judged(one).length)),
        ),
        row('exact where it speaks', (one) => percent(shareOf(speaks(one), isRight))),
        row('edit similarity where it speaks', (one) =>
          percentOf(mean(speaks(one).map(({ similarity }) => similarity))),
        ),
        row(
          '50 words verbatim from one training package',
          ({ verbatim }) => `${verbatim.found} of ${verbatim.of}`,
        ),
        row('licence texts', ({ licences }) => String(licences)),
      ],
    ),
    'Thresholds (least mean log-probability of an answer of 1, 2, … tokens; the last one for all longer ones):',
    table(
      ['model', 'thresholds'],
      columns.map(({ name, evaluation }) => [name, evaluation.thresholds.join(', ')]),
    ),
  ].join('\n\n');
}

function isRight({ right }: PlaceResult): boolean {
  return right;
}

function of(places: readonly PlaceResult[], kind: PlaceResult['kind']): readonly PlaceResult[] {
  return places.filter((place) => place.kind === kind);
}

/** Such as `12.3 % ± 1.0 (of 1000)`: with the standard error. */
export function percent({ of: count, share, error }: Share): string {
  if (share === undefined || error === undefined) return 'none';
  return `${(share * 100).toFixed(1)} % ± ${(error * 100).toFixed(1)} (of ${count})`;
}

function percentOf(share: number | undefined): string {
  return share === undefined ? 'none' : `${(share * 100).toFixed(1)} %`;
}
