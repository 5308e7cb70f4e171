/** What a run inside the extension host came to. */
export interface HostResults {
  readonly passed: { readonly title: string; readonly ms: number }[];
  readonly failed: { readonly title: string; readonly reason: string }[];
  /** Those that needed a second try, and why the first failed. */
  readonly retried: { readonly title: string; readonly reason: string }[];
  readonly skipped: { readonly title: string }[];
}
