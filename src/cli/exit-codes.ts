// What the exit code tells a script (`kv help exit-codes`).

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  preconditionFailed: 4,
  /** Reached, but it cannot be served now: nothing was written. */
  unavailable: 5,
  /** It may have been written. */
  unknown: 6,
  /** Not a byte left. */
  unreachable: 7,
  interrupted: 130,
} as const
