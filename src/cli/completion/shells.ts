// A module without imports, because the program names the shells at every start.

/** The shells that `kv completion` has a script for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]
