import { HearthError } from '@hearth/protocol';
import { fetchedKinds, type FetchedKind, isFetchedKind } from '../../accelerators/kinds.js';

/** @throws HearthError `invalid_request` where it is none that can be fetched */
export function readKind(text: string): FetchedKind {
  if (isFetchedKind(text)) return text;
  const more =
    text === 'metal'
      ? ' Metal comes with the build for Macs with Apple silicon and need not be fetched.'
      : '';
  throw new HearthError(
    'invalid_request',
    `There is a build to fetch for ${fetchedKinds.join(' and for ')} and for nothing else.${more}`,
  );
}
