import type { GenerateRequestMessage } from '@hearth/protocol';

/** What comes of a generation beside its text. */
type News = Omit<GenerateRequestMessage.Progress, 'content'>;

/**
 * Tells a person what a generation waits for before its answer begins: `reading the prompt, 43 %`. The same words are told once.
 *
 * @returns what takes the news; the request has to ask for `events`
 */
export function waitNews(tell: (words: string) => void): (news: News) => void {
  let told = '';
  return (news) => {
    const words = inWords(news);
    if (words === undefined || words === told) return;
    told = words;
    tell(words);
  };
}

function inWords({ stage, thinking }: News): string | undefined {
  if (thinking !== undefined) return 'thinking';
  switch (stage?.kind) {
    case 'queued':
      return stage.position === 0 ? 'next in the queue' : `${stage.position} before it in the queue`;
    case 'loading':
      return `loading the model${percent(stage.progress)}`;
    case 'prefill':
      return stage.progress === 1 ? 'writing' : `reading the prompt${percent(stage.progress)}`;
    case undefined:
      return undefined;
  }
}

function percent(progress: number | undefined): string {
  return progress === undefined ? '' : `, ${Math.round(progress * 100)} %`;
}
