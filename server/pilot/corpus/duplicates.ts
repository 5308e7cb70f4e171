import { createHash } from 'node:crypto';
import type { Document } from './document.js';

/** What became of the documents. */
export interface Deduplicated {
  readonly kept: readonly Document[];
  /** Dropped: equal to one before but for white space. */
  readonly exact: number;
  /** Dropped: most of it was in those before. */
  readonly near: number;
}

/**
 * A line that tells documents apart, by its hash; short lines, imports and comments are in all of them.
 * `weight` is its length in characters.
 */
export interface SignificantLine {
  readonly hash: string;
  readonly weight: number;
}

const commonLine = /^(?:import|export\{|from|const\{?.*=require|var.*=require|\*|\/\/|#)/;

/** The significant lines of a text, in order. */
export function significantLines(text: string): readonly SignificantLine[] {
  const lines: SignificantLine[] = [];
  for (const raw of text.split('\n')) {
    const line = raw.replaceAll(/\s+/g, '').replace(/[;,]+$/, '');
    if (line.length >= 12 && !commonLine.test(line))
      lines.push({ hash: shortHash(line), weight: line.length });
  }
  return lines;
}

/** How much of the lines (0 to 1, by weight) is among the known ones; 0 for no lines. */
export function overlap(lines: readonly SignificantLine[], known: ReadonlySet<string>): number {
  let all = 0;
  let shared = 0;
  for (const { hash, weight } of lines) {
    all += weight;
    if (known.has(hash)) shared += weight;
  }
  return all === 0 ? 0 : shared / all;
}

/**
 * Drops exact and near duplicates; of two alike the first is kept.
 *
 * @param documents the preferred ones first
 * @param limit the share of significant lines seen before, above which a document is dropped
 */
export function deduplicate(documents: Iterable<Document>, limit = 0.6): Deduplicated {
  const texts = new Set<string>();
  const lines = new Set<string>();
  const kept: Document[] = [];
  let exact = 0;
  let near = 0;
  for (const document of documents) {
    const key = shortHash(document.text.replaceAll(/\s+/g, ''));
    if (texts.has(key)) {
      exact += 1;
      continue;
    }
    texts.add(key);
    const significant = significantLines(document.text);
    const hasNothing = significant.length === 0 && document.language !== 'md' && document.language !== 'json';
    if (hasNothing || overlap(significant, lines) > limit) {
      near += 1;
      continue;
    }
    for (const { hash } of significant) lines.add(hash);
    kept.push(document);
  }
  return { kept, exact, near };
}

/** 64 bits of a hash, as text: enough for some hundred thousand lines. */
export function shortHash(text: string): string {
  return createHash('sha1').update(text).digest('base64').slice(0, 11);
}
