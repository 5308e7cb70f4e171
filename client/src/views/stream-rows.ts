import type { StreamInfo } from '@hearth/protocol';
import { escapeMarkdown, tokenRate } from '../status/status-text.js';
import type { Row } from './row.js';

/** What every row of the Streams view has as its kind, and its id begins with. */
export const streamKind = 'hearth.stream';
const idStart = 'stream/';

/** The Streams view: one row for each generation that waits or runs, oldest first. */
export function streamRows(streams: readonly StreamInfo[]): readonly Row[] {
  return streams.map((stream) => {
    const description = describe(stream);
    return {
      id: `${idStart}${stream.streamId}`,
      label: stream.client,
      description,
      ...icons[stream.stage],
      tooltip: tooltip(stream, description),
      kind: streamKind,
    };
  });
}

/** The stream that a row stands for. */
export function streamOfRow({ id }: Pick<Row, 'id'>): string {
  return id.slice(idStart.length);
}

const icons = {
  queued: { icon: 'watch' },
  prefill: { icon: 'loading~spin' },
  decode: { icon: 'pulse', iconColor: 'testing.iconPassed' },
} as const satisfies Record<StreamInfo['stage'], Pick<Row, 'icon' | 'iconColor'>>;

const stageWords = {
  queued: 'waiting',
  prefill: 'reading the prompt',
  decode: 'writing',
} as const satisfies Record<StreamInfo['stage'], string>;

function describe({ stage, progress, tokens, tokensPerSecond }: StreamInfo): string {
  if (stage === 'prefill' && progress !== undefined)
    return `${stageWords[stage]}, ${Math.round(progress * 100)} %`;
  if (stage !== 'decode') return stageWords[stage];
  const words: string[] = [stageWords[stage]];
  words.push(`${tokens.toLocaleString('en-US')} tokens`);
  if (tokensPerSecond !== undefined) words.push(tokenRate(tokensPerSecond));
  return words.join(' · ');
}

function tooltip({ streamId, client, backend, startedAt }: StreamInfo, description: string): string {
  const where = backend === undefined ? '' : ` on \`${backend}\``;
  return [
    `**${escapeMarkdown(client)}**: ${escapeMarkdown(description)}${where}`,
    `Since ${escapeMarkdown(new Date(startedAt).toLocaleTimeString())}. Stream \`${streamId}\`.`,
  ].join('\n\n');
}
