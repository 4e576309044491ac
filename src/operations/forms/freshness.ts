// How fresh a read must be.

import type { Revision } from './store.ts'

export type ReadConsistency = 'linearizable' | 'lease' | 'stale'

export interface FreshnessOptions {
  /** Linearizable unless given. */
  readonly consistency?: ReadConsistency | undefined
  /** For stale reads only: the answer may be at most this old, in milliseconds. */
  readonly maxStalenessMs?: number | undefined
  /** The read waits until the node has applied this revision. */
  readonly minRevision?: Revision | undefined
}

/** Permission to read now, synchronously or with scans opened in the callback. */
export interface ReadGrant {
  readonly served: ReadConsistency
  /** Proven upper bound; for stale reads, when it is known. */
  readonly stalenessMs: number | undefined
  readonly revision: Revision
}
