// A lock: one holder at a time.
//
// Promise: clients acquire the lock in the order in which their keys were created. Each holder's token is greater than
// those of all holders before. `put` and `txn` write only while the lock is held.
//
// Limits: the token, not the lock, protects other systems. A holder that was paused may still write to them for a
// moment, so they must reject a token lower than the highest that they have seen. After the death of a holder the
// others wait until its lease expires (`ttlMs`).
//
// Key: lock/NAME/LEASE     empty, with that lease
//
// Invariant: the holder has the oldest key with a lease (fair-lock-queue.ts).

import { checkOptions } from '../client/validators.ts'
import { acquire, type HeldLock, type LockClient, type LockOptions } from './fair-lock-queue.ts'
import { keySpace } from './key-space.ts'
import { LOCK_OPTIONS } from './option-checks.ts'

export async function lock(
  kv: LockClient,
  name: string | Uint8Array,
  options: LockOptions = {},
): Promise<HeldLock> {
  checkOptions('lock', options, LOCK_OPTIONS)
  const { key, prefix } = keySpace('lock', 'lock', name)
  return acquire(kv, { what: 'lock', key, conflicts: prefix, permits: 1 }, options)
}
