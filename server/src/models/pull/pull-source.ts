import { parseSplitName, partName } from '../split/split-name.js';
import { PullError } from './pull-error.js';

/** Where a model is to come from. */
export interface PullSource {
  readonly url: URL;
  /** Without user, query and fragment, for people and frames. */
  readonly shownUrl: string;
  /** Last part of its path, such as `model-Q4_K_M.gguf`. */
  readonly fileName: string;
  /** Whether the host says the SHA-256 of a file beside its redirect, as Hugging Face does. */
  readonly isHuggingFace: boolean;
  /** All files of a model in several, in order; the source itself is the first. Absent: it is one file. */
  readonly parts?: readonly Omit<PullSource, 'parts'>[];
}

/** Where `hf:` names lead. `HF_ENDPOINT` moves it, as it does for Hugging Face's own programs. */
export const huggingFaceOrigin = 'https://huggingface.co';

const segment = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/u;

/**
 * Reads what a person gives to `hearth pull`: `hf:owner/repo/file.gguf`, with `@revision` behind it where it is to be
 * a certain one, or the https address of a file. The address of Hugging Face's page about a file means the file.
 *
 * @throws PullError `bad_source`
 */
export function parsePullSource(text: string, endpoint: string = huggingFaceOrigin): PullSource {
  if (text.length > 2048) throw badSource('It is too long.');
  if (text.startsWith('hf:')) return fromHuggingFace(text.slice('hf:'.length), endpoint);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) throw badSource('The catalogue has no such model, and it is no address.');
  if (url.protocol !== 'https:' && !isLoopback(url)) {
    throw badSource('Models are fetched over https only.');
  }
  if (url.username !== '' || url.password !== '') {
    throw badSource(
      'An address with a password in it is not used; give a token by the name of its variable.',
    );
  }
  const isHuggingFace = url.origin === new URL(endpoint).origin;
  if (isHuggingFace) url.pathname = url.pathname.replace(/^(\/[^/]+\/[^/]+)\/blob\//u, '$1/resolve/');
  return complete(url, isHuggingFace);
}

function fromHuggingFace(rest: string, endpoint: string): PullSource {
  const [place = '', revision = 'main', ...more] = rest.split('@');
  const [owner = '', repository = '', ...file] = place.split('/');
  const parts = [owner, repository, ...file, revision];
  if (more.length > 0 || file.length === 0 || !parts.every((part) => segment.test(part))) {
    throw badSource('A name at Hugging Face is hf:owner/repository/file.gguf.');
  }
  return complete(new URL(`${endpoint}/${owner}/${repository}/resolve/${revision}/${file.join('/')}`), true);
}

function complete(url: URL, isHuggingFace: boolean): PullSource {
  const fileName = decodeURIComponent(url.pathname.split('/').at(-1) ?? '');
  if (!/\.gguf$/iu.test(fileName)) throw badSource('The file has to be a .gguf file.');
  const split = parseSplitName(fileName);
  if (split === undefined) return sourceOf(url, fileName, isHuggingFace);
  const parts = Array.from({ length: split.count }, (_, index) => {
    const name = partName(split.stem, index + 1, split.count);
    const at = new URL(url);
    at.pathname = url.pathname.replace(/[^/]*$/u, encodeURIComponent(name));
    return sourceOf(at, name, isHuggingFace);
  });
  const [first = sourceOf(url, fileName, isHuggingFace)] = parts;
  return { ...first, fileName: `${split.stem}.gguf`, parts };
}

function sourceOf(url: URL, fileName: string, isHuggingFace: boolean): PullSource {
  return { url, shownUrl: `${url.origin}${url.pathname}`, fileName, isHuggingFace };
}

/** Whether the address is this machine by number or by name. */
export function isLoopback({ protocol, hostname }: URL): boolean {
  return protocol === 'http:' && ['127.0.0.1', '[::1]', 'localhost'].includes(hostname);
}

function badSource(why: string): PullError {
  return new PullError(
    'bad_source',
    `Nothing can be fetched by that name. ${why} Give hf:owner/repository/file.gguf, the https address of a .gguf file, ` +
      'or a name from `hearth models recommend`.',
  );
}
