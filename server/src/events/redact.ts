/**
 * The second line of defence of the activity log. The first is its types, which have no place for content; this
 * one takes out what looks like a secret wherever a string is logged all the same, such as a request id that a
 * client chose (row 92).
 *
 * Order and markers are those of behaviours.md 1.10, with its gaps closed: keys of the form `sk-proj-…`, passwords
 * in URLs, secrets under telling names of fields, and values that would swallow JSON syntax.
 */

interface Rule {
  readonly pattern: RegExp;
  readonly replacement: string;
}

/** What stands in place of a secret. */
type Marker = 'auth-header' | 'secret-kv' | 'jwt' | 'api-key' | 'aws-access' | 'aws-session';

const mark = (marker: Marker): string => `[REDACTED:${marker}]`;

/** A value that ends before anything that could be JSON syntax, and that is no marker yet. */
const value = String.raw`(?!\[REDACTED:)[^\s"'\\,;&{}[\]]{4,}`;
/** An opening quote, as it is or escaped in JSON inside a string; such escapes double with each level. */
const quote = String.raw`(?:\\{0,8}["'])?`;
const separator = String.raw`${quote}\s{0,8}[:=]\s{0,8}${quote}`;
/** Names that announce a secret. `tokens`, as in `prompt_tokens`, is none of them. */
const secretName =
  'passwords?|passwd|pwd|passphrase|api[_-]?key|private[_-]?key|secret(?:[_-]?access)?(?:[_-]?key)?|token';

/**
 * Every repetition is bounded or runs over a class that its successor is not in, and none is nested, so that the
 * time grows with the length of the text and not with its square.
 */
const rules: readonly Rule[] = [
  {
    // The scheme goes, too: left alone, it would be taken for a value when the text is looked at again.
    pattern: new RegExp(
      `(authorization${separator})(?!\\[REDACTED:)(?:(?:bearer|basic|digest|token|negotiate)\\s{1,8})?${value}`,
      'gi',
    ),
    replacement: `$1${mark('auth-header')}`,
  },
  {
    pattern: new RegExp(`(bearer\\s{1,8})${value}`, 'gi'),
    replacement: `$1${mark('auth-header')}`,
  },
  {
    pattern: new RegExp(`((?:${secretName})${separator})${value}`, 'gi'),
    replacement: `$1${mark('secret-kv')}`,
  },
  {
    // Greedy up to the last @ of the authority: a password may hold one.
    pattern: /(:\/\/[^\s/:@"'\\]{0,128}:)(?!\[REDACTED:)[^\s/"'\\]{1,256}@/g,
    replacement: `$1${mark('secret-kv')}@`,
  },
  {
    // The signature may be empty.
    pattern: /eyJ[\w-]{2,512}\.[\w-]{2,8192}\.[\w-]*/g,
    replacement: mark('jwt'),
  },
  { pattern: /(?<![A-Za-z0-9])sk-[\w-]{16,}/g, replacement: mark('api-key') },
  { pattern: /(?<![A-Za-z0-9])[rs]k_(?:live|test)_\w{16,}/g, replacement: mark('api-key') },
  { pattern: /xox[abeprs]-[\w-]{10,}/g, replacement: mark('api-key') },
  { pattern: /(?:gh[oprsu]_|github_pat_)\w{20,}/g, replacement: mark('api-key') },
  { pattern: /hf_[A-Za-z0-9]{20,}/g, replacement: mark('api-key') },
  { pattern: /(?:(?<![A-Za-z0-9])pat-|thingspat_)[\w-]{16,}/g, replacement: mark('api-key') },
  { pattern: /AKIA[A-Z0-9]{16}/g, replacement: mark('aws-access') },
  { pattern: /ASIA[A-Z0-9]{16}/g, replacement: mark('aws-session') },
];

const authorizationField = /authorization$/i;
const secretField = new RegExp(`(?:${secretName})$`, 'i');

/**
 * What is shorter can only match a rule with a colon, an equals sign, a full stop or a space in it. This spares the names of
 * fields, numbers of requests and the like, which is nearly everything that is ever logged.
 */
const shortestToken = 15;

/** What each rule needs somewhere in a text: one without any of it, as nearly all are, is looked at once and not by every rule. */
const traces =
  /authorization|bearer|passw|pwd|passphrase|api[_-]?key|private[_-]?key|secret|token(?!s)|:\/\/|eyJ|[rs]k[-_]|xox|gh[oprsu]_|github_pat_|hf_|pat[-_]|A[KS]IA/i;

/** A secret that is glued to another is seen only once that has become a marker. */
const maxRounds = 3;

/** How deep values are looked into; what lies deeper is left out. */
const maxDepth = 16;

/** `text` with every secret in it replaced by its marker. Text without secrets comes back as it is. */
export function redactText(text: string): string {
  if (text.length < shortestToken && !/[:=.\s]/.test(text)) return text;
  if (!traces.test(text)) return text;
  let redacted = text;
  for (let round = 0; round < maxRounds; round += 1) {
    const before = redacted;
    for (const rule of rules) redacted = redacted.replace(rule.pattern, rule.replacement);
    if (redacted === before) break;
  }
  return redacted;
}

/**
 * A copy of a JSON value in which every string is redacted, names of fields too, and a field whose name announces
 * a secret has a marker for its value.
 */
export function redactValue(value: unknown): unknown {
  return redactAt(value, 0);
}

function redactAt(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth === maxDepth) return '[left out: too deep]';
  if (Array.isArray(value)) return value.map((item: unknown) => redactAt(item, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([name, item]: [string, unknown]) => [
      redactText(name),
      redactField(name, item, depth),
    ]),
  );
}

function redactField(name: string, item: unknown, depth: number): unknown {
  if (item === null || item === undefined || typeof item === 'boolean' || item === '') return item;
  if (authorizationField.test(name)) return mark('auth-header');
  if (secretField.test(name)) return mark('secret-kv');
  return redactAt(item, depth + 1);
}

/**
 * Redacts a serialized line, whatever wrote it. The result is one JSON value on one line: the line is read,
 * redacted and written anew, since a pattern let loose on JSON text can break it. A line that is no JSON becomes
 * `{"text": …}`.
 *
 * @param line with or without its line feed; the result has none
 */
export function redactLine(line: string): string {
  const text = line.trimEnd();
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return JSON.stringify({ text: redactText(text) });
  }
  return JSON.stringify(redactValue(value));
}
