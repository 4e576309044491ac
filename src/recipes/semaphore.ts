// A semaphore: at most so many holders at a time.
//
// Promise: clients are served in the order in which their keys were created, and at most `permits` of them have a key
// that is served. `put` and `txn` of a holder are done only while its key exists, as those of lock.ts.
//
// Limits: those of lock.ts. Tokens differ, but holders run beside each other: a token cannot tell whether an older
// holder has gone. `permits` is not stored. Each client counts with its own: all must give the same number. While a new
// number is rolled out, the largest one holds.
//
// A release is told to all who wait, because it may be any of the holders. They read again only when enough have gone.
//
// Key: semaphore/NAME/LEASE     empty, with that lease

import { type Check, checkOptions, checkValue } from '../client/validators.ts'
import { LOCK } from './checks.ts'
import { type HeldLock, type LockClient, type LockOptions, takeIn } from './line.ts'
import { placeOf } from './place.ts'

export interface Semaphore {
  /** Takes one permit. */
  acquire(options?: LockOptions): Promise<HeldLock>
}

/** `permits`: from 1 on. */
export function semaphore(kv: LockClient, name: string | Uint8Array, permits: number): Semaphore {
  const { key, prefix } = placeOf('semaphore', 'semaphore', name)
  checkValue('semaphore', 'permits', permits, isPermits)
  return {
    acquire: async (options = {}) => {
      checkOptions('semaphore.acquire', options, LOCK)
      return takeIn(kv, { what: 'semaphore', key, before: prefix, served: permits }, options)
    },
  }
}

const isPermits: Check = (value) =>
  Number.isSafeInteger(value) && Number(value) >= 1 ? undefined : 'a whole number from 1 on'
