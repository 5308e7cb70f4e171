import type { Health, ModelAbilities, ModelInfo } from '@hearth/protocol';
import { modelBudget, type ModelBudget } from './model-information.js';

/** A model as VS Code's chat gets to know it. */
export interface OfferedModel extends ModelBudget {
  /** Unique among what we offer, and the same from day to day: settings name it. */
  readonly id: string;
  readonly name: string;
  /** What requests name it by. */
  readonly model: string;
  readonly contextSize: number;
  readonly tooltip: string;
  /** What one should know of it before one trusts it. */
  readonly caution?: string;
  readonly abilities: ModelAbilities;
  readonly settings: GroupSettings;
}

/** What a person may set for a group of models in VS Code's Language Models editor. */
export interface GroupSettings {
  readonly temperature?: number;
  readonly maxOutputTokens?: number;
  /** Whether a model that can think does. Absent: as the model has it. */
  readonly thinking?: boolean;
}

/** A daemon that does not say what its models can do has generated text all along. */
const abilitiesUnknown: ModelAbilities = {
  generate: true,
  tools: false,
  vision: false,
  thinking: false,
  tokenize: true,
};

/** The models that can answer now, the first that which answers where none is named. */
export function offeredModels(health: Health, settings: GroupSettings = {}): readonly OfferedModel[] {
  const offered = new Map<string, OfferedModel>();
  for (const { state, model, abilities = abilitiesUnknown } of health.backends) {
    if (state.kind !== 'ready' || model === undefined || !abilities.generate) continue;
    if (!offered.has(model.id)) offered.set(model.id, offer(model, abilities, settings));
  }
  return [...offered.values()];
}

/**
 * What stands in the picker where there is no model at all: to be asked is its one use, since its answer says what to do.
 * Without it VS Code would only say that no language model is available.
 */
export const noModel: OfferedModel = {
  id: 'none',
  name: 'Hearth: no model',
  model: 'none',
  tooltip: 'Hearth has no model to answer with. Ask it, and it says why.',
  // Large enough for the prompt of an agent: that it were too long would hide the reason.
  contextSize: 65_536,
  ...modelBudget({ contextSize: 65_536 }),
  abilities: { ...abilitiesUnknown, tools: true, tokenize: false },
  settings: {},
};

function offer(model: ModelInfo, abilities: ModelAbilities, settings: GroupSettings): OfferedModel {
  const words = settingsInWords(settings);
  const budget = modelBudget(model);
  const { maxOutputTokens = budget.maxOutputTokens } = settings;
  const mark = words.length === 0 ? '' : ` (${words.join(', ')})`;
  return {
    id: `${model.id}${mark}`,
    name: `${model.displayName}${mark}`,
    model: model.id,
    contextSize: model.contextSize,
    tooltip: model.caution ?? 'Runs on this machine.',
    ...(model.caution === undefined ? {} : { caution: model.caution }),
    ...budget,
    maxOutputTokens: Math.min(maxOutputTokens, budget.maxOutputTokens),
    abilities,
    settings,
  };
}

function settingsInWords({ temperature, maxOutputTokens, thinking }: GroupSettings): readonly string[] {
  return [
    ...(temperature === undefined ? [] : [`temperature ${temperature}`]),
    ...(maxOutputTokens === undefined ? [] : [`at most ${maxOutputTokens} tokens`]),
    ...(thinking === undefined ? [] : [thinking ? 'thinking' : 'no thinking']),
  ];
}

/**
 * Reads what a group of `chatLanguageModels.json` has been configured with; VS Code gives whatever stands there.
 *
 * @returns undefined where nothing is set: such a group offers nothing that is not offered anyway
 */
export function groupSettings(configuration: unknown): GroupSettings | undefined {
  if (typeof configuration !== 'object' || configuration === null) return undefined;
  const { temperature, maxOutputTokens, thinking } = configuration as Readonly<Record<string, unknown>>;
  const settings: GroupSettings = {
    ...(isBetween(temperature, 0, 100) ? { temperature } : {}),
    ...(isBetween(maxOutputTokens, 1, 1_048_576) ? { maxOutputTokens: Math.floor(maxOutputTokens) } : {}),
    ...(typeof thinking === 'boolean' ? { thinking } : {}),
  };
  return Object.keys(settings).length === 0 ? undefined : settings;
}

function isBetween(value: unknown, least: number, most: number): value is number {
  return typeof value === 'number' && value >= least && value <= most;
}
