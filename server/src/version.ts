/** Version of this build, as health and the activity log show it. Equals the manifest's; a test holds them together. */
export const version = '0.1.0';
