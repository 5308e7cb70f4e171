import type { Gbnf, GbnfItem, GbnfSequence } from './gbnf.js';

/**
 * In how many ways llama.cpp reads a token. It follows each way in which the text so far can be read, and of a token
 * each way from each of these, without seeing that two of them have met: `([a-z] | [a-z])*` has two ways after one
 * character and 65 536 after sixteen. So ways are counted here over as many characters as a long token has, from
 * every place of a grammar in which there is a choice.
 *
 * A place is what llama.cpp calls a stack: a character that may come, and where to go on when its rule is over. Places
 * are gone through breadth first. What is called from many places is looked at once for each of the nearest callers.
 */

/** Characters over which ways are counted. */
const tokenLength = 16;
/** Texts that are followed from one place: those that most ways can read. */
const mostTexts = 8;
/** Work that one grammar may take, in places that are looked at. A second has some 20 million. */
const mostWork = 2_000_000;
/** How many callers tell places apart. */
const callersToldApart = 2;
/** Repetitions that are told from endless ones; more take no more ways. */
const mostCopies = 3;
/** Deepest that rules may call each other at their beginnings. */
const deepestCalls = 1000;

/** The paths of a grammar; `unknown`: it is too tangled to find out in reasonable time. */
export type Paths = number | 'unknown';

/**
 * The most ways in which a text of {@link tokenLength} characters can be read from any place.
 *
 * @param enough With more than so many, this counts no further.
 */
export function countPaths(grammar: Gbnf, enough: number): Paths {
  const root = grammar.get('root');
  return root === undefined ? 0 : new PathCounter(grammar, enough).count();
}

/** A part of a rule, linked to what follows it; undefined: the rule is over. */
type Step =
  | { readonly kind: 'character'; readonly classes: ReadonlySet<number>; readonly next: Step | undefined }
  | { readonly kind: 'call'; readonly name: string; readonly next: Step | undefined }
  | { readonly kind: 'choice'; readonly options: readonly (Step | undefined)[]; next: Step | undefined };

/** Where to go on when a rule is over. Equal ones are one object. */
interface Caller {
  readonly step: Step;
  readonly caller: Caller | undefined;
  /** Tells apart those with the same nearest callers. */
  readonly key: string;
}

interface Place {
  readonly step: Extract<Step, { kind: 'character' }>;
  readonly caller: Caller | undefined;
  /** Those that may come after its character; found when they are needed. */
  next: readonly Place[] | undefined;
}

class TooMuchWork extends Error {}

class PathCounter {
  readonly #grammar: Gbnf;
  readonly #enough: number;
  readonly #rules = new Map<string, readonly (Step | undefined)[]>();
  readonly #callers = new Map<Step, Map<Caller | undefined, Caller>>();
  readonly #places = new Map<Step, Map<Caller | undefined, Place>>();
  readonly #ids = new Map<Step, number>();
  #work = 0;

  constructor(grammar: Gbnf, enough: number) {
    this.#grammar = grammar;
    this.#enough = enough;
  }

  count(): Paths {
    try {
      return this.#walk();
    } catch (error) {
      if (error instanceof TooMuchWork) return 'unknown';
      throw error;
    }
  }

  /** Goes through the places of the grammar. */
  #walk(): number {
    const seen = new Set<string>();
    const start = this.#reach(this.#options('root'), undefined);
    let most = this.#follow(start);
    let places = start;
    while (places.length > 0 && most <= this.#enough) {
      const further: Place[] = [];
      for (const place of places) {
        const key = `${this.#id(place.step)} ${place.caller?.key ?? ''}`;
        if (seen.has(key)) continue;
        seen.add(key);
        const next = this.#next(place);
        most = Math.max(most, this.#follow(next));
        if (most > this.#enough) return most;
        further.push(...next);
      }
      places = further;
    }
    return most;
  }

  /** The most ways over the next characters, where some character has more than one. */
  #follow(places: readonly Place[]): number {
    if (places.length < 2) return places.length;
    let texts: readonly ReadonlyMap<Place, number>[] = [new Map(places.map((place) => [place, 1]))];
    let most = heaviest(texts[0] ?? new Map()).most;
    if (most < 2) return most;
    for (let length = 1; length < tokenLength && most <= this.#enough; length += 1) {
      const longer = texts.flatMap((ways) => this.#extend(ways));
      texts = longer.toSorted((one, other) => total(other) - total(one)).slice(0, mostTexts);
      most = Math.max(most, ...texts.map((ways) => heaviest(ways).most));
      if (texts.every((ways) => ways.size < 2 && total(ways) === 1)) break;
    }
    return most;
  }

  /** The ways after the characters that most of these can read. */
  #extend(ways: ReadonlyMap<Place, number>): readonly ReadonlyMap<Place, number>[] {
    this.#spend(ways.size * 8);
    return heaviest(ways).characters.map((character) => {
      const after = new Map<Place, number>();
      for (const [place, count] of ways) {
        if (!place.step.classes.has(character)) continue;
        for (const next of this.#next(place)) {
          this.#spend(1);
          after.set(next, (after.get(next) ?? 0) + count);
        }
      }
      return after;
    });
  }

  #next(place: Place): readonly Place[] {
    return (place.next ??= this.#reach([place.step.next], place.caller));
  }

  /** The places that come first in `steps`. */
  #reach(steps: readonly (Step | undefined)[], caller: Caller | undefined): readonly Place[] {
    const found = new Set<Place>();
    const seen = new Map<Step | undefined, Set<Caller | undefined>>();
    const visit = (step: Step | undefined, from: Caller | undefined, depth: number): void => {
      this.#spend(1);
      if (depth > deepestCalls) throw new TooMuchWork();
      const known = seen.get(step);
      if (known?.has(from) === true) return;
      if (known === undefined) seen.set(step, new Set([from]));
      else known.add(from);
      if (step === undefined) {
        if (from !== undefined) visit(from.step, from.caller, depth + 1);
        return;
      }
      switch (step.kind) {
        case 'character':
          found.add(this.#place(step, from));
          return;
        case 'call': {
          const after = step.next === undefined ? from : this.#caller(step.next, from);
          for (const option of this.#options(step.name)) visit(option, after, depth + 1);
          return;
        }
        case 'choice':
          for (const option of step.options) visit(option ?? step.next, from, depth + 1);
      }
    };
    for (const step of steps) visit(step, caller, 0);
    return [...found];
  }

  #options(name: string): readonly (Step | undefined)[] {
    const known = this.#rules.get(name);
    if (known !== undefined) return known;
    const options = (this.#grammar.get(name) ?? []).map((sequence) => this.#chain(sequence, undefined));
    this.#rules.set(name, options);
    return options;
  }

  #chain(sequence: GbnfSequence, end: Step | undefined): Step | undefined {
    return sequence.reduceRight<Step | undefined>((next, item) => this.#link(item, next), end);
  }

  #link(item: GbnfItem, next: Step | undefined): Step | undefined {
    this.#spend(1);
    switch (item.kind) {
      case 'text': {
        if (item.length === 0) return next;
        const rest = item.rest.reduceRight<Step | undefined>(
          (after, one) => ({ kind: 'character', classes: new Set([one]), next: after }),
          next,
        );
        this.#spend(item.rest.length);
        return { kind: 'character', classes: item.first, next: rest };
      }
      case 'rule':
        return { kind: 'call', name: item.name, next };
      case 'group': {
        // The parts of each alternative lead to what follows the group.
        return choice(
          item.alternatives.map((alternative) => this.#chain(alternative, next)),
          next,
        );
      }
      case 'repeat':
        return this.#repeat(item, next);
    }
  }

  #repeat(
    { item, least, most }: Extract<GbnfItem, { kind: 'repeat' }>,
    next: Step | undefined,
  ): Step | undefined {
    let rest = next;
    if (most === Infinity || most - least > mostCopies) {
      const loop: { kind: 'choice'; options: (Step | undefined)[]; next: Step | undefined } = {
        kind: 'choice',
        options: [],
        next,
      };
      loop.options.push(this.#link(item, loop), next);
      rest = loop;
    } else {
      for (let index = least; index < most; index += 1) rest = choice([this.#link(item, rest), next], next);
    }
    for (let index = 0; index < Math.min(least, mostCopies); index += 1) rest = this.#link(item, rest);
    return rest;
  }

  #caller(step: Step, caller: Caller | undefined): Caller {
    const known = this.#callers.get(step) ?? new Map<Caller | undefined, Caller>();
    this.#callers.set(step, known);
    let made = known.get(caller);
    if (made === undefined) {
      const above = caller?.key.split(' ').slice(0, callersToldApart - 1) ?? [];
      made = { step, caller, key: [this.#id(step), ...above].join(' ') };
      known.set(caller, made);
    }
    return made;
  }

  #place(step: Extract<Step, { kind: 'character' }>, caller: Caller | undefined): Place {
    const known = this.#places.get(step) ?? new Map<Caller | undefined, Place>();
    this.#places.set(step, known);
    let made = known.get(caller);
    if (made === undefined) {
      made = { step, caller, next: undefined };
      known.set(caller, made);
    }
    return made;
  }

  #id(step: Step): number {
    const known = this.#ids.get(step) ?? this.#ids.size;
    this.#ids.set(step, known);
    return known;
  }

  #spend(work: number): void {
    this.#work += work;
    if (this.#work > mostWork) throw new TooMuchWork();
  }
}

/** A choice that goes on with `next` where an option is nothing. */
function choice(options: readonly (Step | undefined)[], next: Step | undefined): Step {
  return { kind: 'choice', options, next };
}

function total(ways: ReadonlyMap<Place, number>): number {
  let sum = 0;
  for (const count of ways.values()) sum += count;
  return sum;
}

/** How many ways the character has that most can read, and the characters with the most. */
function heaviest(ways: ReadonlyMap<Place, number>): {
  readonly most: number;
  readonly characters: readonly number[];
} {
  const readers = new Map<number, { count: number; places: string }>();
  let index = 0;
  for (const [{ step }, count] of ways) {
    for (const character of step.classes) {
      const known = readers.get(character) ?? { count: 0, places: '' };
      readers.set(character, { count: known.count + count, places: `${known.places} ${index}` });
    }
    index += 1;
  }
  // One character for all that the same places read. As many ways by other places lead elsewhere.
  const apart = new Map<string, { count: number; character: number }>();
  for (const [character, { count, places }] of readers) {
    if (!apart.has(places)) apart.set(places, { count, character });
  }
  const order = [...apart.values()].sort((one, other) => other.count - one.count).slice(0, mostTexts);
  return { most: order[0]?.count ?? 0, characters: order.map(({ character }) => character) };
}
