import type { DocumentText } from '../document-text.js';
import { ownCopy } from '../place.js';

/** A document that may help with another, as it was when it was last seen. */
export interface RecentDocument {
  readonly uri: string;
  readonly language: string;
  readonly text: DocumentText;
  /** Whether an editor has it open now. */
  readonly isOpen: boolean;
  /** Counts what happened on this connection: when it was opened, and when it was last changed; 0: never. */
  readonly openedAt: number;
  readonly changedAt: number;
  /** Offset of the last change; undefined where there was none. */
  readonly changeOffset: number | undefined;
}

/** The documents that someone has open, or closed a while ago after changing them. */
export interface RecentDocuments {
  /** @param text the document as it is at any time */
  readonly opened: (uri: string, language: string, text: DocumentText) => void;
  readonly changed: (uri: string, offset: number) => void;
  readonly closed: (uri: string) => void;
  readonly all: () => readonly RecentDocument[];
}

/** Documents remembered after they were closed, and most units kept of each. */
const mostClosed = 8;
const mostText = 65_536;
/** Documents remembered in all. */
const mostDocuments = 64;

interface Entry {
  readonly language: string;
  readonly text: DocumentText;
  readonly isOpen: boolean;
  readonly openedAt: number;
  readonly changedAt: number;
  readonly changeOffset: number | undefined;
}

export function createRecentDocuments(): RecentDocuments {
  /** Least recently touched first. */
  const entries = new Map<string, Entry>();
  let clock = 0;

  const put = (uri: string, entry: Entry): void => {
    entries.delete(uri);
    entries.set(uri, entry);
    const closed = [...entries].filter(([, { isOpen }]) => !isOpen);
    for (const [old] of closed.slice(0, Math.max(0, closed.length - mostClosed))) entries.delete(old);
    for (const old of entries.keys()) {
      if (entries.size <= mostDocuments) return;
      entries.delete(old);
    }
  };

  return {
    opened: (uri, language, text) => {
      clock += 1;
      const known = entries.get(uri);
      put(uri, {
        language,
        text,
        isOpen: true,
        openedAt: known?.openedAt ?? clock,
        changedAt: known?.changedAt ?? 0,
        changeOffset: known?.changeOffset,
      });
    },
    changed: (uri, offset) => {
      const entry = entries.get(uri);
      if (entry === undefined) return;
      clock += 1;
      put(uri, { ...entry, changedAt: clock, changeOffset: offset });
    },
    closed: (uri) => {
      const entry = entries.get(uri);
      if (entry === undefined) return;
      if (entry.changedAt === 0) {
        entries.delete(uri);
        return;
      }
      const text = ownCopy(entry.text.slice(0, Math.min(entry.text.length, mostText)));
      put(uri, { ...entry, isOpen: false, text });
    },
    all: () => [...entries].map(([uri, entry]) => ({ uri, ...entry })),
  };
}
