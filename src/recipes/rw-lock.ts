// A read-write lock: many readers at a time, or one writer.
//
// Promise: a writer waits for every client that came before it, a reader for the writers that came before it, so
// neither starves. A writer's token is greater than those of all holders before, a reader's greater than those of all
// writers before. `put` and `txn` write only while the lock is held.
//
// Limits: those of lock.ts. A reader that holds the lock must not wait for a second read lock: a writer between the two
// waits for the first, and the second waits for the writer.
//
// Keys: rwlock/NAME/r/LEASE     of a reader, empty, with that lease
//       rwlock/NAME/w/LEASE     of a writer
//
// Invariant: a writer conflicts with every key, a reader with those of writers (fair-lock-queue.ts).

import { checkOptions } from '../client/validators.ts'
import { acquire, type HeldLock, type LockClient, type LockOptions } from './fair-lock-queue.ts'
import { keySpace } from './key-space.ts'
import { LOCK_OPTIONS } from './option-checks.ts'

export interface RwLock {
  read(options?: LockOptions): Promise<HeldLock>
  write(options?: LockOptions): Promise<HeldLock>
}

export function rwLock(kv: LockClient, name: string | Uint8Array): RwLock {
  const space = keySpace('rwLock', 'rwlock', name)
  const mode =
    (what: string, part: string, conflicts: Uint8Array) =>
    async (options: LockOptions = {}) => {
      checkOptions(what, options, LOCK_OPTIONS)
      return acquire(kv, { what, key: (lease) => space.key(part, lease), conflicts, permits: 1 }, options)
    }
  return {
    read: mode('rwLock.read', 'r', space.key('w', '')),
    write: mode('rwLock.write', 'w', space.prefix),
  }
}
