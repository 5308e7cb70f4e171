import { GbnfError, otherCharacter, readGbnf } from './gbnf.js';
import type { Gbnf, GbnfItem, GbnfSequence } from './gbnf.js';
import { countPaths } from './grammar-paths.js';

/**
 * Keeps grammars from native code that would take its memory or never come back from it.
 *
 * llama.cpp copies what is repeated. And it follows every way in which the text so far can be read at once: where
 * many parts may be left out in one place and begin with the same character, it tries their ways one by one, for a
 * token of n characters as many as n parts can be chosen from them.
 */

/** Most elements (characters, classes, references) that a grammar may have once its repetitions are written out. */
export const mostElements = 131_072;
/** Most times that a part may have to come. llama.cpp's parser calls a grammar with more of it no grammar. */
const mostRequired = 1998;
/** Most states in which sampling can be at once in one place. Measured with the pilot: 500 take 30 ms, 1000 take 110. */
export const mostStates = 512;
/**
 * Most of these that the same character can continue by way of leaving parts out. Measured with the pilot: 12 take
 * 20 ms, 16 take 120, 20 take 1100.
 */
export const mostOverlaps = 12;
/** Most ways in which the characters of one token can be read. With a vocabulary of 4096 so many take 20 ms a token. */
export const mostPaths = 1024;

/** Deepest nesting of rules and groups at whose beginning others stand. Bounds the depth of calls here. */
const deepestLead = 400;

const tooDeep = 'The grammar nests its rules too deeply. Use fewer rules that begin with others.';

/** Why a grammar is refused, for people and with what to do; undefined: it is within the bounds. Never throws. */
export function refuseGrammar(text: string): string | undefined {
  try {
    const grammar = readGbnf(text);
    const times = mostOften(grammar);
    if (times > mostRequired) {
      return `The grammar repeats a part at least ${figure(times)} times; at most ${mostRequired} are allowed in one place: write it as several.`;
    }
    const elements = countElements(grammar);
    if (elements > mostElements) {
      return `The grammar expands to ${figure(elements)} elements; at most ${mostElements} are allowed: use fewer repetitions.`;
    }
    new StateCounter(grammar).check();
    const paths = countPaths(grammar, mostPaths);
    if (paths === 'unknown') {
      return 'The grammar is too tangled to be checked: it has too many alternatives that begin alike. Use fewer.';
    }
    if (paths > mostPaths) {
      return `The grammar lets the same text be read in more than ${mostPaths} ways. Let alternatives begin with different characters, above all where they are repeated.`;
    }
    return undefined;
  } catch (error) {
    if (error instanceof GbnfError) return error.message;
    // The stack, where groups lead rules that lead groups.
    if (error instanceof RangeError) return tooDeep;
    throw error;
  }
}

/** The largest number of times that one part has to come. */
function mostOften(grammar: Gbnf): number {
  let times = 0;
  const visit = (item: GbnfItem): void => {
    if (item.kind === 'group') for (const sequence of item.alternatives) sequence.forEach(visit);
    if (item.kind !== 'repeat') return;
    times = Math.max(times, item.least);
    visit(item.item);
  };
  for (const alternatives of grammar.values()) for (const sequence of alternatives) sequence.forEach(visit);
  return times;
}

/** An upper bound of the elements that llama.cpp keeps. A rule that is named many times is kept once. */
export function countElements(grammar: Gbnf): number {
  let total = 0;
  const alternatives = (all: readonly GbnfSequence[]): void => {
    for (const sequence of all) {
      total += 1;
      for (const item of sequence) {
        // On its own line: it adds to the total itself.
        const own = size(item);
        total += own;
      }
    }
  };
  const size = (item: GbnfItem): number => {
    switch (item.kind) {
      case 'text':
        return item.size;
      case 'rule':
        return 1;
      case 'group':
        alternatives(item.alternatives);
        return 1;
      case 'repeat': {
        const { least, most } = item;
        const once = size(item.item);
        // Each part that may be left out becomes a rule of its own: what is repeated, the next rule, and two marks.
        total += (most === Infinity ? 1 : most - least) * (once + 3);
        return once * least + 1;
      }
    }
  };
  for (const all of grammar.values()) alternatives(all);
  return total;
}

/**
 * States by what they take next: one count for each class of characters, and the number of all at
 * {@link statesAt}. Alternatives are counted for a character by the largest of them, since they soon part; those of
 * a single character do not, and are added up. Parts that may be left out are added up always.
 */
type Counts = Float64Array;
const statesAt = otherCharacter + 1;

/** What can stand at the beginning of something. */
interface Lead {
  readonly counts: Counts;
  /** Whether all of it may be left out. */
  readonly nullable: boolean;
}

const nothing: Lead = { counts: new Float64Array(statesAt + 1), nullable: true };

class StateCounter {
  readonly #grammar: Gbnf;
  /** Undefined while it is being computed. */
  readonly #rules = new Map<string, Lead | undefined>();
  readonly #items = new Map<GbnfItem, Lead>();
  /** What may come after a rule. */
  readonly #after = new Map<string, Counts>();
  #depth = 0;

  constructor(grammar: Gbnf) {
    this.#grammar = grammar;
  }

  /** Looks at all places that can be reached. @throws GbnfError where one is beyond the bounds. */
  check(): void {
    for (const name of this.#callersFirst()) {
      const after = this.#after.get(name) ?? nothing.counts;
      this.#note(this.#rule(name).counts);
      this.#walk(this.#grammar.get(name) ?? [], after);
    }
  }

  /** The rules that root needs. Each comes after all that name it, but for those that it leads back to. */
  #callersFirst(): readonly string[] {
    const done: string[] = [];
    const seen = new Set(['root']);
    const open = [{ name: 'root', callees: calleesOf(this.#grammar.get('root') ?? []) }];
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const next = top.callees.pop();
      if (next === undefined) {
        done.push(top.name);
        open.pop();
      } else if (!seen.has(next)) {
        seen.add(next);
        open.push({ name: next, callees: calleesOf(this.#grammar.get(next) ?? []) });
      }
    }
    return done.reverse();
  }

  /** Looks at every place in `alternatives`, behind which `after` may come. */
  #walk(alternatives: readonly GbnfSequence[], after: Counts): void {
    for (const sequence of alternatives) {
      let rest = after;
      for (const item of sequence.toReversed()) {
        this.#walkItem(item, rest);
        const lead = this.#item(item);
        rest = lead.nullable ? sum(lead.counts, rest) : lead.counts;
        this.#note(rest);
      }
    }
  }

  #walkItem(item: GbnfItem, after: Counts): void {
    switch (item.kind) {
      case 'text':
        return;
      case 'rule': {
        const known = this.#after.get(item.name);
        this.#after.set(item.name, known === undefined ? after : largest(known, after));
        return;
      }
      case 'group':
        this.#walk(item.alternatives, after);
        return;
      case 'repeat':
        // After what is repeated it may come again.
        this.#walkItem(item.item, item.most > 1 ? sum(this.#item(item).counts, after) : after);
    }
  }

  /** @throws GbnfError at once where a bound is passed: what comes after it may be long. */
  #note(counts: Counts): void {
    const states = counts[statesAt] ?? 0;
    if (states > mostStates) {
      throw new GbnfError(
        `The grammar can be in ${figure(states)} states in one place; at most ${mostStates} are allowed: use fewer alternatives or optional parts.`,
      );
    }
    let overlaps = 0;
    for (let index = 0; index < statesAt; index += 1) overlaps = Math.max(overlaps, counts[index] ?? 0);
    if (overlaps > mostOverlaps) {
      throw new GbnfError(
        `The grammar has ${figure(overlaps)} parts in one place that can be left out and begin alike; at most ${mostOverlaps} are allowed: use fewer repetitions or optional parts.`,
      );
    }
  }

  #rule(name: string): Lead {
    if (this.#rules.has(name)) {
      const known = this.#rules.get(name);
      // A rule that begins with itself is refused by llama.cpp.
      if (known === undefined)
        throw new GbnfError('A rule of the grammar begins with itself. Write it the other way round.');
      return known;
    }
    this.#rules.set(name, undefined);
    const lead = this.#alternatives(this.#grammar.get(name) ?? []);
    this.#rules.set(name, lead);
    return lead;
  }

  #alternatives(all: readonly GbnfSequence[]): Lead {
    this.#depth += 1;
    if (this.#depth > deepestLead) {
      throw new GbnfError(tooDeep);
    }
    let nullable = false;
    let states = 0;
    let longer = nothing.counts;
    let single = nothing.counts;
    for (const sequence of all) {
      const lead = this.#sequence(sequence);
      nullable ||= lead.nullable;
      states += lead.counts[statesAt] ?? 0;
      const [only] = sequence;
      if (sequence.length === 1 && only?.kind === 'text' && only.length === 1)
        single = sum(single, lead.counts);
      else longer = largest(longer, lead.counts);
    }
    this.#depth -= 1;
    const counts = largest(longer, single);
    counts[statesAt] = states;
    return { counts, nullable };
  }

  #sequence(sequence: GbnfSequence): Lead {
    let counts: Counts = nothing.counts;
    for (const item of sequence) {
      const lead = this.#item(item);
      counts = sum(counts, lead.counts);
      if (!lead.nullable) return { counts, nullable: false };
    }
    return { counts, nullable: true };
  }

  #item(item: GbnfItem): Lead {
    if (item.kind === 'rule') return this.#rule(item.name);
    const known = this.#items.get(item);
    if (known !== undefined) return known;
    const lead = this.#leadOf(item);
    this.#items.set(item, lead);
    return lead;
  }

  #leadOf(item: Exclude<GbnfItem, { kind: 'rule' }>): Lead {
    switch (item.kind) {
      case 'text': {
        if (item.length === 0) return nothing;
        const counts = new Float64Array(statesAt + 1);
        for (const one of item.first) counts[one] = 1;
        counts[statesAt] = 1;
        return { counts, nullable: false };
      }
      case 'group':
        return this.#alternatives(item.alternatives);
      case 'repeat': {
        const { counts, nullable } = this.#item(item.item);
        if (item.most === 0) return nothing;
        // Without an end it comes back to the same state.
        const times = item.most === Infinity ? Math.max(1, item.least) : item.most;
        return {
          counts: nullable ? counts.map((one) => one * times) : counts,
          nullable: nullable || item.least === 0,
        };
      }
    }
  }
}

function calleesOf(alternatives: readonly GbnfSequence[]): string[] {
  const callees: string[] = [];
  const visit = (item: GbnfItem): void => {
    if (item.kind === 'rule') callees.push(item.name);
    else if (item.kind === 'repeat') visit(item.item);
    else if (item.kind === 'group') for (const sequence of item.alternatives) sequence.forEach(visit);
  };
  for (const sequence of alternatives) sequence.forEach(visit);
  return callees;
}

function sum(one: Counts, other: Counts): Counts {
  const counts = new Float64Array(statesAt + 1);
  for (let index = 0; index <= statesAt; index += 1) counts[index] = (one[index] ?? 0) + (other[index] ?? 0);
  return counts;
}

function largest(one: Counts, other: Counts): Counts {
  const counts = new Float64Array(statesAt + 1);
  for (let index = 0; index <= statesAt; index += 1) {
    counts[index] = Math.max(one[index] ?? 0, other[index] ?? 0);
  }
  return counts;
}

function figure(count: number): string {
  return count < 1e12 ? String(count) : 'over 1000000000000';
}
