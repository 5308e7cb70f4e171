import type { GenerateRequestMessage } from '@hearth/protocol';

/** What comes of a generation beside its text. */
type News = Omit<GenerateRequestMessage.Progress, 'content'>;

/** What a generation waits for, and how far that is, from 0 to 1, where it is known. */
interface Wait {
  readonly what: string;
  readonly progress?: number | undefined;
}

/**
 * Tells a person what a generation waits for before its answer begins: `reading the prompt, 43 %`. The same words are told once.
 *
 * @param tell gets the words, and what of them says nothing of how far it is
 * @returns what takes the news; the request has to ask for `events`
 */
export function waitNews(tell: (words: string, what: string) => void): (news: News) => void {
  let told = '';
  return (news) => {
    const wait = waitOf(news);
    if (wait === undefined) return;
    const { what, progress } = wait;
    const words = progress === undefined ? what : `${what}, ${Math.round(progress * 100)} %`;
    if (words === told) return;
    told = words;
    tell(words, what);
  };
}

function waitOf({ stage, thinking }: News): Wait | undefined {
  if (thinking !== undefined) return { what: 'thinking' };
  switch (stage?.kind) {
    case 'queued': {
      const { position } = stage;
      return { what: position === 0 ? 'next in the queue' : `${position} before it in the queue` };
    }
    case 'loading':
      return { what: 'loading the model', progress: stage.progress };
    case 'prefill': {
      const { progress } = stage;
      // A call comes whole, and until then nothing else is heard of what is being written.
      return progress === 1 ? { what: 'writing' } : { what: 'reading the prompt', progress };
    }
    case undefined:
      return undefined;
  }
}
