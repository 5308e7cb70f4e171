import { describe, expect, it } from 'vitest';
import { configFromEnvironment, defaultFileContent, resolveConfig } from './config.js';
import { limitsConfigSchema } from './limits-config.js';

describe('configuration', () => {
  it('row 81: the first source that says something wins', () => {
    expect(resolveConfig({ queue_depth: 1 }, { queue_depth: 2 }, { queue_depth: 3 }).queue_depth).toBe(1);
    expect(resolveConfig({ queue_depth: undefined }, {}, { queue_depth: 3 }).queue_depth).toBe(3);
  });

  it('has the defaults that are documented', () => {
    expect(resolveConfig()).toEqual({
      accelerator: 'auto',
      engine: 'llama',
      max_loaded_models: 3,
      model_hosts: [],
      model_idle_secs: 900,
      model_patience_secs: 30,
      model_stay_secs: 5,
      model_token_env: 'HF_TOKEN',
      socket_proof: 'auto',
      engine_driver: 'auto',
      speculation: 'off',
      kv_type: 'f16',
      kv_memory_mib: 256,
      kv_disk: false,
      kv_disk_mib: 4096,
      tcp_allow_remote: false,
      active_permits: 1,
      queue_depth: 10,
      ready_timeout_secs: 30,
      write_timeout_secs: 60,
      drain_timeout_secs: 10,
      linger_secs: 5,
      limits: limitsConfigSchema.parse({}),
      durable_max_bytes: 16_777_216,
      events: { activity_log: false },
    });
  });

  it.each(Object.keys(limitsConfigSchema.shape))(
    'row 159: zero for limits.%s is an error that names it',
    (key) => {
      expect(() => resolveConfig({ limits: { [key]: 0 } })).toThrow(new RegExp(`limits\\.${key}`));
    },
  );

  it('row 160: two wrong limits and a wrong key beside them are named in one message', () => {
    expect(() =>
      resolveConfig({ limits: { connections: 0, inbox_entries: 0, inbx: 1 }, queue_depth: -1 }),
    ).toThrow(/(?=.*limits\.connections)(?=.*limits\.inbox_entries)(?=.*"inbx")(?=.*queue_depth)/);
  });

  it('row 160: two wrong fields are named in one message', () => {
    expect(() => resolveConfig({ active_permits: 0, queue_depth: -1 })).toThrow(
      /active_permits.*queue_depth/,
    );
  });

  it('durable channels need a directory to be kept in, and names that are theirs alone', () => {
    expect(() => resolveConfig({ durable_channels: ['a/b'] })).toThrow(/durable_channels: needs state_dir/);
    expect(() => resolveConfig({ state_dir: '/s', durable_channels: ['a/b', 'a/b'] })).toThrow(/unique/);
    expect(() => resolveConfig({ state_dir: '/s', durable_channels: ['status'] })).toThrow(
      /durable_channels/,
    );
  });

  it('row 161: an unknown key is an error that names it', () => {
    expect(() => resolveConfig({ quue_depth: 1 })).toThrow(/"quue_depth"/);
  });

  it('row 84: the mock engine is there only when it is asked for by name', () => {
    expect(() => resolveConfig({ mock: {} })).toThrow(/mock/);
    expect(resolveConfig({ engine: 'mock', mock: { tokens: ['a'] } }).mock).toEqual({ tokens: ['a'] });
  });

  it('row 78: the knobs of the mock are checked', () => {
    expect(() => resolveConfig({ engine: 'mock', mock: { tokns: [] } })).toThrow(/configuration/);
    expect(() => resolveConfig({ engine: 'mock', mock: { pre_stream_error: 'sometimes' } })).toThrow(
      /configuration/,
    );
  });

  it('row 82: a model and a list of backends in one source contradict each other; between sources the stronger wins', () => {
    const backends = [{ kind: 'mock' }];
    expect(() => resolveConfig({ model: 'pilot', backends })).toThrow(/model: .*backends/);
    expect(resolveConfig({ model: 'pilot' }, { backends })).toMatchObject({ model: 'pilot' });
    expect(resolveConfig({ model: 'pilot' }, { backends }).backends).toBeUndefined();
    expect(resolveConfig({ backends }, { model: 'pilot', engine: 'llama' })).toMatchObject({ backends });
  });

  it('row 81: an unknown kind of backend, and an unknown knob of a known one, are errors that name the place', () => {
    expect(() => resolveConfig({ backends: [{ kind: 'steam' }] })).toThrow(/backends\.0/);
    expect(() => resolveConfig({ backends: [{ kind: 'mock', tokenz: [] }] })).toThrow(
      /backends\.0.*"tokenz"/,
    );
  });

  it('a draft model and the wish to use one come together', () => {
    expect(() => resolveConfig({ speculation: 'draft' })).toThrow(/speculation: "draft" needs draft_model/);
    expect(() => resolveConfig({ draft_model: 'small' })).toThrow(/draft_model: has an effect only with/);
    expect(resolveConfig({ speculation: 'draft', draft_model: 'small' })).toMatchObject({
      draft_model: 'small',
    });
  });

  it.each(['active_permits', 'drain_timeout_secs', 'context_size'])(
    'row 159: zero for %s is an error that names it',
    (key) => {
      expect(() => resolveConfig({ [key]: 0 })).toThrow(new RegExp(key));
    },
  );

  it('row 85: what is written at the first start is what holds without it', () => {
    expect(resolveConfig(defaultFileContent())).toEqual(resolveConfig());
  });

  it('reads the environment, where empty means unset', () => {
    expect(configFromEnvironment({ HEARTH_RUNTIME_DIR: '/run/x', HEARTH_LOG_DIR: '', PATH: '/bin' })).toEqual(
      {
        runtime_dir: '/run/x',
      },
    );
  });
});
