/**
 * Type-aware lint, and the layers of the design as errors:
 *
 *   endpoints → daemon parts → ports → protocol
 *
 * `layers` below says which folder may not import which; `reserved` says which packages and host interfaces belong
 * to which folder alone. test/lint/layers.test.ts plants a violation of each and expects the error.
 */
import { builtinModules } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createTypeScriptImportResolver } from 'eslint-import-resolver-typescript';
import { importX } from 'eslint-plugin-import-x';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

const root = path.dirname(fileURLToPath(import.meta.url));
const absolute = (/** @type {string} */ place) => path.join(root, place);

/** The parts that the composition root puts together. They know ports, never each other's implementations. */
const daemonParts = [
  ...[
    'accelerators',
    'admission',
    'channels',
    'completion',
    'config',
    'connections',
    'engine',
    'events',
    'generation',
    'lock',
    'models',
  ],
  ...['http', 'proxy', 'registry', 'residency', 'router', 'service-router', 'supervisor', 'upstream'],
].map((folder) => `server/src/${folder}`);
const ports = [
  'server/src/daemon-api.ts',
  'server/src/engine/encoding.ts',
  'server/src/engine/engine.ts',
  'server/src/models/model-source.ts',
  'server/src/channels/channels-port.ts',
];
const composition = ['server/src/daemon.ts', 'server/src/main.ts', 'server/src/cli', 'server/bin'];
const engines = ['llama', 'mock', 'remote'].map((name) => `server/src/engine/${name}`);

/** @type {{ target: string[], from: string[], except?: string[], message: string }[]} */
const layers = [
  {
    target: ['protocol'],
    from: ['server', 'client', 'test'],
    message: 'The protocol is the lowest layer: it imports nothing of ours.',
  },
  {
    target: ['protocol/src'],
    from: ['protocol/node'],
    message: 'protocol/src runs anywhere; what needs Node is in protocol/node.',
  },
  {
    target: ['server/src'],
    from: ['server/pilot'],
    message: 'The pipeline that makes the pilot is no part of the product.',
  },
  { target: ['server'], from: ['client'], message: 'Server and client meet in protocol/ only.' },
  { target: ['client'], from: ['server'], message: 'Client and server meet in protocol/ only.' },
  {
    target: [...daemonParts, ...ports],
    from: ['server/src/endpoints', ...composition],
    message: 'Dependencies point from endpoints to the daemon parts, not back.',
  },
  {
    target: ['server/src/endpoints'],
    from: [...composition, ...engines],
    message: 'An endpoint knows the daemon by server/src/daemon-api.ts only.',
  },
  {
    target: daemonParts.filter((part) => part !== 'server/src/engine' && part !== 'server/src/config'),
    from: engines,
    message: 'Parts know engines by server/src/engine/engine.ts only.',
  },
  {
    target: ports,
    from: daemonParts,
    except: ports,
    message: 'A port imports the protocol and other ports, no implementation.',
  },
];

/** Host interfaces and packages that belong to a few folders; `files` may use what others may not. */
const reserved = {
  engine: {
    files: ['server/src/engine/llama/**'],
    group: ['node-llama-cpp', 'node-llama-cpp/*', '@node-llama-cpp/*'],
    message: 'Only server/src/engine/llama may import node-llama-cpp.',
  },
  native: {
    // Peer credentials come from the kernel through koffi too.
    files: ['server/src/engine/llama/**', 'server/src/connections/**'],
    group: ['koffi', 'koffi/*', '@koromix/*'],
    message: 'Only server/src/engine/llama and server/src/connections may import koffi.',
  },
  editor: {
    files: ['client/**', 'test/vscode/**'],
    group: ['vscode', 'vscode-languageclient', 'vscode-languageclient/*'],
    message: 'Only client/ may import vscode.',
  },
  outbound: {
    // What tests ask of a server is no connection of the product's.
    files: [
      'server/src/models/pull/**',
      'server/src/engine/remote/**',
      'server/src/upstream/**',
      'server/src/events/post/**',
      'test/**',
    ],
    group: ['undici', 'undici/*', 'axios', 'got', 'node-fetch', 'openai', 'ws'],
    message:
      'Only models/pull, engine/remote, upstream and events/post in server/src open outbound connections.',
  },
};
const clientsOfNode = {
  http: ['request', 'get', 'Agent', 'globalAgent', 'ClientRequest', 'default'],
  https: ['request', 'get', 'Agent', 'globalAgent', 'default'],
  http2: ['connect', 'default'],
  tls: ['connect', 'default'],
};
const nodeInterfaces = ['process', 'Buffer', 'module', '__dirname', '__filename', 'setImmediate'];

/**
 * The rules that keep a file from everything reserved but `allowed`. One whole set a folder, because a later
 * configuration of a rule replaces an earlier one.
 *
 * @param {(keyof typeof reserved)[]} allowed
 * @param {{ anywhere?: boolean }} [options] anywhere: the file must run outside Node too
 */
function reservedRules(allowed, { anywhere = false } = {}) {
  const forbidden = Object.entries(reserved)
    .filter(([name]) => !allowed.some((one) => one === name))
    .map(([, { group, message }]) => ({ group, message }));
  const nodeOnly = {
    group: ['node:*', 'vscode-jsonrpc/node', 'vscode-jsonrpc/node.js', ...builtinModules],
    message: 'protocol/src runs anywhere: it uses no Node interface.',
  };
  const patterns = anywhere ? [...forbidden, nodeOnly] : forbidden;
  const outbound = !allowed.includes('outbound');
  const modules = outbound && !anywhere ? Object.entries(clientsOfNode) : [];
  const paths = modules.flatMap(([name, importNames]) =>
    [`node:${name}`, name].map((module) => ({
      name: module,
      importNames,
      message: reserved.outbound.message,
    })),
  );
  const lazily = [
    ...patterns,
    { group: paths.map(({ name }) => name), message: reserved.outbound.message },
  ].filter(({ group }) => group.length > 0);
  const globals = [
    ...(outbound ? ['fetch', 'WebSocket', 'EventSource', 'XMLHttpRequest'] : []).map((name) => ({
      name,
      message: reserved.outbound.message,
    })),
    ...(anywhere ? nodeInterfaces : []).map((name) => ({ name, message: nodeOnly.message })),
  ];
  return {
    'no-restricted-imports': ['error', { patterns, paths }],
    // The rule above does not see `import()` and `require()`.
    'no-restricted-syntax': ['error', ...lazily.flatMap(({ group, message }) => lazyImports(group, message))],
    'no-restricted-globals': globals.length === 0 ? 'off' : ['error', { globals, checkGlobalObject: true }],
  };
}

/**
 * Selectors for `import(…)`, `require(…)` and `require.resolve(…)` of the packages in `group`.
 *
 * @param {string[]} group
 * @param {string} message
 */
function lazyImports(group, message) {
  const names = `/^(${group.map((name) => name.replaceAll('*', '.*').replaceAll('/', '\\/')).join('|')})$/`;
  const callers = ['[callee.name=/require/i]', '[callee.object.name=/require/i]'];
  return ['ImportExpression', ...callers.map((callee) => `CallExpression${callee}`)].map((call) => ({
    selector: `${call} > Literal[value=${names}]`,
    message,
  }));
}

/**
 * A layer as zones of import-x. An exception must lie inside the one forbidden place it is an exception from.
 *
 * @param {(typeof layers)[number]} layer
 */
function zonesOf({ target, from, except = [], message }) {
  if (except.length === 0) return [{ target, from, message }];
  return from.map((place) => ({
    target,
    from: place,
    except: except.filter((one) => one.startsWith(`${place}/`)).map((one) => path.relative(place, one)),
    message,
  }));
}

/** @param {(typeof layers)[number]} layer */
function withoutMock(layer) {
  return { ...layer, from: layer.from.filter((place) => place !== 'server/src/engine/mock') };
}

const nodeGlobals = Object.fromEntries(
  Object.getOwnPropertyNames(globalThis).map((name) => [name, 'readonly']),
);

export default defineConfig(
  {
    ignores: [
      '**/dist/**',
      '**/out/**',
      '**/node_modules/**',
      '.vscode-test/**',
      'test/output/**',
      'client/dev/sample/**',
    ],
  },
  {
    files: ['**/*.ts', '**/*.mts'],
    extends: [tseslint.configs.strictTypeChecked],
    plugins: { 'import-x': importX },
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ['vitest.config.mts'] },
        tsconfigRootDir: root,
      },
    },
    settings: {
      'import-x/resolver-next': [
        createTypeScriptImportResolver({
          project: ['protocol', 'server', 'client', 'test'].map((name) => absolute(`${name}/tsconfig.json`)),
          noWarnOnMultipleProjects: true,
          conditionNames: ['hearth-source', 'types', 'import', 'require', 'node', 'default'],
        }),
      ],
      'import-x/extensions': ['.ts', '.js', '.mjs'],
    },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', ignoreRestSiblings: true }],
      // A fifth of the whole lint's time, for what strict types forbid already.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
      '@typescript-eslint/no-unsafe-enum-assignment': 'off',
      // An async function without await still turns what it throws into a rejection, as its callers expect.
      '@typescript-eslint/require-await': 'off',
      // Standard output carries the protocol in some roles, so nothing writes there by habit.
      'no-console': 'error',
      eqeqeq: 'error',
      'import-x/no-cycle': ['error', { ignoreExternal: true }],
      'import-x/no-restricted-paths': [
        'error',
        {
          basePath: root,
          zones: layers.flatMap(zonesOf),
        },
      ],
      ...reservedRules([]),
    },
  },
  {
    files: ['protocol/src/**/*.ts'],
    ignores: ['**/*.test.ts'],
    rules: reservedRules([], { anywhere: true }),
  },
  // One namespace per JSON-RPC message: its literal method name beside its types.
  { files: ['protocol/src/messages*.ts'], rules: { '@typescript-eslint/no-namespace': 'off' } },
  { files: ['server/src/engine/llama/**/*.ts'], rules: reservedRules(['engine', 'native']) },
  // It measures the model with what the product runs it with.
  { files: ['server/pilot/**/*.ts'], rules: reservedRules(['engine']) },
  { files: ['server/src/connections/**/*.ts'], rules: reservedRules(['native']) },
  {
    files: ['server/src/{models/pull,engine/remote,upstream,events/post}/**/*.ts'],
    rules: reservedRules(['outbound']),
  },
  { files: ['client/**/*.ts'], rules: reservedRules(['editor']) },
  { files: ['test/**/*.ts'], rules: reservedRules(['outbound']) },
  { files: ['test/vscode/**/*.ts'], rules: reservedRules(['editor', 'outbound']) },
  {
    files: ['**/*.test.ts'],
    rules: {
      // The mock engine ships with the port for this: tests of what stands before it.
      'import-x/no-restricted-paths': [
        'error',
        { basePath: root, zones: layers.map(withoutMock).flatMap(zonesOf) },
      ],
      // A test knows what it planted.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/unbound-method': 'off',
    },
  },
  {
    files: ['**/*.{js,mjs,cjs}'],
    languageOptions: { ecmaVersion: 'latest', sourceType: 'module', globals: nodeGlobals },
    // No compiler sees that a name was never imported.
    rules: {
      eqeqeq: 'error',
      'no-console': 'error',
      'no-undef': 'error',
      'no-var': 'error',
      'prefer-const': 'error',
    },
  },
  {
    files: ['**/*.cjs'],
    languageOptions: { sourceType: 'commonjs', globals: { __dirname: 'readonly' } },
  },
);
