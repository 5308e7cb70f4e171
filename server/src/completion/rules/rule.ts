import type { GhostTextRule } from '@hearth/protocol';
import type { Place } from '../place.js';
import type { Shape } from '../shape.js';

/** Where a completion is to stand. */
export interface RuleContext {
  readonly place: Place;
  readonly shape: Shape;
}

/** One thing that is done to every completion before it is shown. Empty: nothing is left to show. */
export interface Rule {
  readonly name: GhostTextRule;
  readonly apply: (completion: string, context: RuleContext) => string;
}
