// A semaphore: a limited number of holders at a time.
//
// Promise: clients acquire in the order in which their keys were created, and at most `permits` of them hold a permit.
// `put` and `txn` of a holder write only while it holds its permit.
//
// Limits: those of lock.ts. Tokens differ, but holders run concurrently: a token does not show whether an older holder
// is gone. `permits` is not stored, so all clients must give the same number. During a roll-out of a new number the
// larger one applies. Every release notifies all waiting clients; a client reads again only when enough have gone.
//
// Key: semaphore/NAME/LEASE     empty, with that lease
//
// Invariant: the holders have the `permits` oldest keys with a lease (fair-lock-queue.ts).

import { checkOptions, checkValue, positiveCheck } from '../client/validators.ts'
import { acquire, type HeldLock, type LockClient, type LockOptions } from './fair-lock-queue.ts'
import { keySpace } from './key-space.ts'
import { LOCK_OPTIONS } from './option-checks.ts'

export interface Semaphore {
  /** Acquires one permit. */
  acquire(options?: LockOptions): Promise<HeldLock>
}

/** `permits`: from 1 on. */
export function semaphore(kv: LockClient, name: string | Uint8Array, permits: number): Semaphore {
  const { key, prefix } = keySpace('semaphore', 'semaphore', name)
  checkValue('semaphore', 'permits', permits, positiveCheck)
  return {
    acquire: async (options = {}) => {
      checkOptions('semaphore.acquire', options, LOCK_OPTIONS)
      return acquire(kv, { what: 'semaphore', key, conflicts: prefix, permits }, options)
    },
  }
}
