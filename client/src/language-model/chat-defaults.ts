/** Which settings of VS Code's chat name a model, and what they were before Hearth's was put there. */

/** A model as settings name it. */
export interface NamedModel {
  readonly id: string;
  readonly name: string;
}

/** What was written, and what stood there before: absent where nothing did. */
export interface ChatDefaults {
  readonly written: Readonly<Record<string, string>>;
  readonly before: Readonly<Record<string, string>>;
}

/** What a setting is to become; undefined: it is to be taken out. */
export type SettingChange = readonly [setting: string, value: string | undefined];

/** Reads the value of a setting that the user's own settings have. */
export type ReadSetting = (setting: string) => string | undefined;

/**
 * The settings with their values: inline chat names its model as the picker shows it, the others by vendor and id. The
 * utility models write titles, summaries and commit messages; without one VS Code does none of these for local models.
 */
export function settingsFor({ id, name }: NamedModel, vendor: string): Readonly<Record<string, string>> {
  return {
    'inlineChat.defaultModel': `${name} (${vendor})`,
    'chat.utilityModel': `${vendor}/${id}`,
    'chat.utilitySmallModel': `${vendor}/${id}`,
  };
}

/**
 * What has to change so that the settings name this model, and what to remember. What stood there before is remembered
 * from the first time, not from what we wrote ourselves since.
 */
export function useModel(
  wanted: Readonly<Record<string, string>>,
  read: ReadSetting,
  known: ChatDefaults | undefined,
): { readonly changes: readonly SettingChange[]; readonly remember: ChatDefaults } {
  const before: Record<string, string> = {};
  for (const setting of Object.keys(wanted)) {
    const now = read(setting);
    const old = now !== undefined && now === known?.written[setting] ? known.before[setting] : now;
    if (old !== undefined) before[setting] = old;
  }
  const changes = Object.entries(wanted).filter(([setting, value]) => read(setting) !== value);
  return { changes, remember: { written: wanted, before } };
}

/** What has to change when another model answers: those settings that still name the one that was written. */
export function followModel(
  wanted: Readonly<Record<string, string>>,
  read: ReadSetting,
  known: ChatDefaults,
): { readonly changes: readonly SettingChange[]; readonly remember: ChatDefaults } {
  const ours = Object.entries(wanted).filter(([setting]) => isOurs(setting, read, known));
  const changes = ours.filter(([setting, value]) => read(setting) !== value);
  return { changes, remember: { ...known, written: { ...known.written, ...Object.fromEntries(ours) } } };
}

/** What takes it back: settings that the person has changed since stay as they are. */
export function undoModel(read: ReadSetting, known: ChatDefaults): readonly SettingChange[] {
  return Object.keys(known.written)
    .filter((setting) => isOurs(setting, read, known))
    .map((setting): SettingChange => [setting, known.before[setting]]);
}

function isOurs(setting: string, read: ReadSetting, { written }: ChatDefaults): boolean {
  return read(setting) === written[setting];
}

/** What an earlier session remembered; undefined where it is nothing that this one understands. */
export function asChatDefaults(value: unknown): ChatDefaults | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { written, before } = value as Partial<Record<'written' | 'before', unknown>>;
  return isTexts(written) && isTexts(before) ? { written, before } : undefined;
}

function isTexts(value: unknown): value is Record<string, string> {
  return (
    typeof value === 'object' &&
    value !== null &&
    Object.values(value).every((entry) => typeof entry === 'string')
  );
}
