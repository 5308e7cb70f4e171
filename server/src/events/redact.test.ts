import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { redactLine, redactText, redactValue } from './redact.js';

/** Put together at run time, so that no scanner of sources takes these for leaked keys. */
const secrets = {
  openAi: `sk-${'a1B2c3D4'.repeat(3)}`,
  openAiProject: `sk-proj-${'a1B2-c3D4_'.repeat(4)}`,
  stripe: `sk_live_${'a1B2c3D4'.repeat(3)}`,
  slack: `xoxb-${'123456789012-'.repeat(2)}abc`,
  github: `ghp_${'a1B2c3D4e5'.repeat(3)}`,
  githubFine: `github_pat_${'a1B2c3D4e5'.repeat(3)}`,
  huggingFace: `hf_${'a1B2c3D4e5'.repeat(3)}`,
  pat: `pat-${'a1b2c3d4'.repeat(3)}`,
  thingsPat: `thingspat_${'a1b2c3d4'.repeat(3)}`,
  awsAccess: `AKIA${'ABCD1234'.repeat(2)}`,
  awsSession: `ASIA${'ABCD1234'.repeat(2)}`,
  jwt: `eyJ${'hbGciOiJI'.repeat(2)}.eyJ${'zdWIiOiIx'.repeat(2)}.${'SflKxwRJ'.repeat(3)}`,
};

const marked: readonly (readonly [string, string, string])[] = [
  ['an sk- key', secrets.openAi, '[REDACTED:api-key]'],
  ['an sk-proj- key, dashes and all', secrets.openAiProject, '[REDACTED:api-key]'],
  ['an sk_live_ key', secrets.stripe, '[REDACTED:api-key]'],
  ['an xoxb- token', secrets.slack, '[REDACTED:api-key]'],
  ['a ghp_ token', secrets.github, '[REDACTED:api-key]'],
  ['a github_pat_ token', secrets.githubFine, '[REDACTED:api-key]'],
  ['an hf_ token', secrets.huggingFace, '[REDACTED:api-key]'],
  ['a pat- token', secrets.pat, '[REDACTED:api-key]'],
  ['a thingspat_ token', secrets.thingsPat, '[REDACTED:api-key]'],
  ['an AKIA id', secrets.awsAccess, '[REDACTED:aws-access]'],
  ['an ASIA id', secrets.awsSession, '[REDACTED:aws-session]'],
  ['a JWT', secrets.jwt, '[REDACTED:jwt]'],
  ['an authorization header', 'Authorization: Basic dXNlcjpwYXNz', 'Authorization: [REDACTED:auth-header]'],
  ['a header without a scheme', 'authorization=abcd1234', 'authorization=[REDACTED:auth-header]'],
  ['a bearer token', 'Bearer abc.def-123', 'Bearer [REDACTED:auth-header]'],
  ['password=', 'password=hunter22', 'password=[REDACTED:secret-kv]'],
  ['passwd:', 'passwd: hunter22', 'passwd: [REDACTED:secret-kv]'],
  ['PWD=', 'PWD=hunter22', 'PWD=[REDACTED:secret-kv]'],
  ['API_KEY=', 'OPENAI_API_KEY=abcd1234', 'OPENAI_API_KEY=[REDACTED:secret-kv]'],
  ['api-key:', 'x-api-key: abcd1234', 'x-api-key: [REDACTED:secret-kv]'],
  ['client_secret=', 'client_secret=abcd&x=1', 'client_secret=[REDACTED:secret-kv]&x=1'],
  ['aws_secret_access_key=', 'aws_secret_access_key=abcd/efg+', 'aws_secret_access_key=[REDACTED:secret-kv]'],
  ['token=', 'a=1&access_token=abcd1234&b=2', 'a=1&access_token=[REDACTED:secret-kv]&b=2'],
  ['a password in a URL', 'https://ann:hunter22@host/x?y=1', 'https://ann:[REDACTED:secret-kv]@host/x?y=1'],
  ['a password with @ in a URL', 'redis://:hun@ter@host:6379/0', 'redis://:[REDACTED:secret-kv]@host:6379/0'],
  ['a short password in a URL', 'ftp://ann:x@host', 'ftp://ann:[REDACTED:secret-kv]@host'],
  ['JSON inside text', '{"password":"hunter22","n":1}', '{"password":"[REDACTED:secret-kv]","n":1}'],
  [
    'escaped JSON inside text',
    String.raw`{\"token\":\"hunter22\"}`,
    String.raw`{\"token\":\"[REDACTED:secret-kv]\"}`,
  ],
];

describe('row 92: secrets become markers', () => {
  it.each(marked)('%s', (_name, text, expected) => {
    expect(redactText(text)).toBe(expected);
    expect(redactText(`see ${text} there`)).toBe(`see ${expected} there`);
  });

  it.each(Object.values(secrets))('in any company', (secret) => {
    for (const text of [
      `id-${secret}`,
      `id_${secret}`,
      `(${secret})`,
      `"${secret}"`,
      `${secret}\n${secret}`,
      `a:${secret}`,
    ]) {
      expect(redactText(text)).not.toContain(secret.slice(8));
    }
  });

  it.each([
    '',
    'req-42',
    'request_done prompt_tokens=123456 completion_tokens: 98765 max_tokens=1000',
    '{"prompt_tokens":123456,"tokens":["alpha"]}',
    'risk-assessment-of-something-rather-long',
    'task-0123456789abcdef0123456789abcdef',
    'skew-0123456789abcdef',
    'http://127.0.0.1:47321/v1/models',
    'http://[::1]:8080/a@b',
    'git@example.com:owner/name.git',
    'password=abc',
    'the bearer of news',
    'AKIA is a prefix',
    '3f2504e0-4f89-11d3-9a0c-0305e82c3301',
    'hearth-pilot-v1',
    'ünïcode 日本語 \u0000 "quotes" \\ back',
  ])('leaves safe text as it is: %j', (text) => {
    expect(redactText(text)).toBe(text);
    expect(redactValue({ text })).toEqual({ text });
    expect(redactLine(JSON.stringify({ text }))).toBe(JSON.stringify({ text }));
  });
});

it.each([
  'xoxb-0123456789',
  'eyJab.cd.',
  'pwd=abcd',
  'PWD:abcd',
  'Bearer abcd',
  '://:x@',
  `sk-${'a'.repeat(16)}`,
])('row 92: the shortest of its kind becomes a marker: %s', (text) => {
  expect(redactText(text)).toContain('[REDACTED:');
});

describe('row 92: values', () => {
  it('looks into arrays and objects, and leaves what is no string', () => {
    expect(
      redactValue({ a: [secrets.openAi, { b: 'password=hunter22' }], n: 1, yes: true, none: null }),
    ).toEqual({
      a: ['[REDACTED:api-key]', { b: 'password=[REDACTED:secret-kv]' }],
      n: 1,
      yes: true,
      none: null,
    });
  });

  it('takes the value of a field whose name announces a secret, whatever it is', () => {
    expect(
      redactValue({
        password: 'x y',
        client_secret: 12_345,
        apiKey: { raw: 'abc' },
        Authorization: ['Basic', 'abc'],
        prompt_tokens: 7,
        token: '',
      }),
    ).toEqual({
      password: '[REDACTED:secret-kv]',
      client_secret: '[REDACTED:secret-kv]',
      apiKey: '[REDACTED:secret-kv]',
      Authorization: '[REDACTED:auth-header]',
      prompt_tokens: 7,
      token: '',
    });
  });

  it('redacts names of fields, and keeps __proto__ a field', () => {
    expect(redactValue({ [secrets.github]: 1 })).toEqual({ '[REDACTED:api-key]': 1 });
    const line = `{"__proto__":{"text":"${secrets.github}"}}`;
    expect(redactLine(line)).toBe('{"__proto__":{"text":"[REDACTED:api-key]"}}');
  });

  it('ends on values that are nested without end', () => {
    const loop: Record<string, unknown> = {};
    loop['self'] = loop;
    expect(JSON.stringify(redactValue(loop))).toContain('too deep');
  });
});

describe('row 92: lines stay JSON', () => {
  it('also where a pattern on the raw line would eat syntax or break an escape', () => {
    for (const value of [
      { token: 1234, next: 'x' },
      { text: '\bearer abcdefgh' },
      { text: 'password="hunter22", more' },
      { text: 'token:\\', b: 'cdefgh' },
      { password: 'a"b,c}d' },
    ]) {
      expect(() => JSON.parse(redactLine(JSON.stringify(value))) as unknown).not.toThrow();
    }
  });

  it('a line that is no JSON becomes one that is', () => {
    expect(redactLine(`boom ${secrets.openAi}\n`)).toBe('{"text":"boom [REDACTED:api-key]"}');
  });

  const secret = fc.constantFrom(
    ...Object.values(secrets),
    'password=hunter22',
    'Bearer abcdefgh',
    'x://a:bcd@e',
  );
  const text = fc
    .array(
      fc.oneof(
        fc.string({ unit: 'binary', maxLength: 12 }),
        secret,
        fc.constantFrom('"', '\\', ' ', '{', ':', '='),
      ),
    )
    .map((parts) => parts.join(''));
  const json = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      text,
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      tie('list'),
      tie('record'),
    ),
    list: fc.array(tie('value'), { maxLength: 4 }),
    record: fc.dictionary(fc.oneof(text, fc.constantFrom('token', 'password', 'msg')), tie('value'), {
      maxKeys: 4,
    }),
  })).value;

  it('for every value the line is one line of JSON, and redacting it again changes nothing', () => {
    fc.assert(
      fc.property(json, (value) => {
        const line = redactLine(JSON.stringify(value));
        expect(line).not.toContain('\n');
        expect(redactLine(line)).toBe(line);
      }),
      { numRuns: 500 },
    );
  });

  it('for every text redacting it again changes nothing', () => {
    fc.assert(
      fc.property(text, (t) => {
        expect(redactText(redactText(t))).toBe(redactText(t));
      }),
      { numRuns: 500 },
    );
  });

  it('no token survives, whatever surrounds it', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }).filter((s) => !/[A-Za-z0-9]$/.test(s)),
        fc.constantFrom(...Object.values(secrets)),
        fc.string({ unit: 'binary' }),
        (before, token, after) => {
          expect(redactLine(JSON.stringify({ req_id: `${before}${token}${after}` }))).not.toContain(token);
        },
      ),
    );
  });
});

describe('row 92: hostile text costs time in proportion to its length', () => {
  // A pattern whose time grows with the square of the length would need minutes for these and hit the time limit.
  const length = 200_000;
  it.each([
    'a',
    ' ',
    '\\',
    '"',
    ':',
    '=',
    'eyJ',
    '-eyJ',
    '-eyJaa.',
    'eyJaa.-',
    'sk-',
    '-sk-sk',
    '://',
    '://:',
    '://a:b',
    '://a:@',
    'token',
    'token ',
    'token\\\\\\\\',
    'token= ',
    'password:"',
    'secret_access_',
    'bearer ',
    'Bearer        ',
    'authorization:bearer ',
    'authorization',
    'xoxb-',
    'ghp_',
    'AKIA',
    'pat-',
    '[REDACTED:',
  ])('%j again and again', (piece) => {
    const text = piece.repeat(Math.ceil(length / piece.length));
    expect(redactText(text).length).toBeGreaterThan(0);
  });

  it('any mixture of such pieces', () => {
    const piece = fc.constantFrom(
      'eyJ',
      '.',
      'a',
      '-',
      '://',
      ':',
      '@',
      'token',
      '=',
      ' ',
      '\\',
      '"',
      'bearer',
      'sk-',
    );
    fc.assert(
      fc.property(fc.array(piece, { minLength: 2, maxLength: 6 }), (pieces) => {
        redactText(pieces.join('').repeat(2000));
      }),
    );
  });
});
