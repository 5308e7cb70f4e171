/**
 * What a supervised service sees of our environment: an allow-list (row 112). Keys and tokens of the person, and what
 * runs foreign code in a process (LD_PRELOAD, NODE_OPTIONS, PYTHONSTARTUP), stay out.
 */
const names = new Set([
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'LANG',
  'TZ',
  'TMPDIR',
  'LD_LIBRARY_PATH',
  'DYLD_LIBRARY_PATH',
  'VIRTUAL_ENV',
  // Where models are kept.
  'HF_HOME',
  'XDG_CACHE_HOME',
  // Windows processes do not start without these.
  'SYSTEMROOT',
  'WINDIR',
  'TEMP',
  'TMP',
  'USERPROFILE',
  'PATHEXT',
  'COMSPEC',
]);
const prefixes = [
  ...['LC_', 'GGML_', 'VK_', 'HIP_', 'ROCR_', 'ROCM_', 'HSA_', 'CUDA_', 'NVIDIA_', 'MESA_', 'RADV_'],
  ...['HPCC_', 'MACA_', 'ASCEND_'],
];

/**
 * The environment of a service.
 *
 * @param env Ours.
 * @param configured What its configuration sets; stronger than what it inherits.
 */
export function childEnvironment(
  env: NodeJS.ProcessEnv,
  configured: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    const upper = name.toUpperCase();
    const isAllowed = names.has(upper) || prefixes.some((prefix) => upper.startsWith(prefix));
    if (value !== undefined && isAllowed) kept[name] = value;
  }
  return { ...kept, ...configured };
}
