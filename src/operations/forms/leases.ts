// Leases, as operations name them.

import type { LeaseId } from './store.ts'

/** How long a lease may live after it was granted or renewed: a second to ten years. */
export const TTL_MS_MIN = 1000
export const TTL_MS_MAX = 3650 * 24 * 3_600_000

/** The lease of a key that is put: one that exists, or one of its own. */
export type PutLease = { readonly id: LeaseId } | { readonly ttlMs: number }
