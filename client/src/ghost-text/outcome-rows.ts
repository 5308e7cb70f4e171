import type { Row } from '../views/row.js';
import type { RememberedOutcome } from './outcomes.js';
import { reasonWords, sourceWords } from './reason-words.js';

/** The one row of the Activity view that holds what became of ghost text, newest first; none where nothing did. */
export function outcomeRows(entries: readonly RememberedOutcome[]): readonly Row[] {
  if (entries.length === 0) return [];
  const children = entries
    .map((entry, index) => outcomeRow(entry, `ghost-text/${entries.length - index}`))
    .reverse();
  const newest = children[0];
  return [
    {
      id: 'ghost-text',
      label: 'Ghost text',
      description: newest === undefined ? '' : `${newest.label} · ${newest.description ?? ''}`,
      icon: 'sparkle',
      spoken: `Ghost text: ${newest?.spoken ?? ''}`,
      tooltip: 'Each suggestion that was shown, and why there was none where there was none.',
      children,
      folded: true,
    },
  ];
}

function outcomeRow({ outcome, at, times }: RememberedOutcome, id: string): Row {
  const time = new Date(at).toLocaleTimeString('en-GB');
  const repeated = times > 1 ? ` · ${times} times` : '';
  if (outcome.kind === 'shown') {
    const what = outcome.lines === 1 ? 'one line' : `${outcome.lines} lines`;
    return {
      id,
      label: 'shown',
      description: `${time} · ${what}, ${sourceWords(outcome.source)}, ${outcome.ms} ms${repeated}`,
      icon: 'pass',
      iconColor: 'testing.iconPassed',
      spoken: `shown, ${what}, ${time}`,
      kind: 'hearth.ghostText',
    };
  }
  const { short, long } = reasonWords(outcome);
  return {
    id,
    label: short,
    description: `${time}${repeated}`,
    icon: 'circle-slash',
    tooltip: long,
    spoken: `none: ${short}, ${time}`,
    kind: 'hearth.ghostText',
  };
}
