// The exit codes, for scripts (`kv help exit-codes`).

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  preconditionFailed: 4,
  /** A node answered that it cannot serve now. Nothing was written. */
  unavailable: 5,
  /** The change may have been made. */
  unknown: 6,
  /** No byte of the request was sent. */
  unreachable: 7,
  interrupted: 130,
} as const
