// A read-write lock: many readers at a time, or one writer.
//
// Promise: a writer waits for everyone who came before it, a reader for the writers who came before it. So nobody waits
// for ever behind those who come later. Tokens rise in the order in which clients came: a writer's token is greater
// than those of all holders before, a reader's greater than those of all writers before. `put` and `txn` are done only
// while the lock is held, as those of lock.ts.
//
// Limits: those of lock.ts. A reader that holds the lock must not wait for a second one: a writer between the two waits
// for the first, and the second for the writer.
//
// Keys: rwlock/NAME/r/LEASE     of a reader, empty, with that lease
//       rwlock/NAME/w/LEASE     of a writer

import { checkOptions } from '../client/validators.ts'
import { LOCK } from './checks.ts'
import { type HeldLock, type LockClient, type LockOptions, takeIn } from './line.ts'
import { placeOf } from './place.ts'

export interface RwLock {
  read(options?: LockOptions): Promise<HeldLock>
  write(options?: LockOptions): Promise<HeldLock>
}

export function rwLock(kv: LockClient, name: string | Uint8Array): RwLock {
  const place = placeOf('rwLock', 'rwlock', name)
  const writers = place.key('w', '')
  return {
    read: async (options = {}) => {
      checkOptions('rwLock.read', options, LOCK)
      const key = (lease: string) => place.key('r', lease)
      return takeIn(kv, { what: 'rwLock.read', key, before: writers, served: 1 }, options)
    },
    write: async (options = {}) => {
      checkOptions('rwLock.write', options, LOCK)
      const key = (lease: string) => place.key('w', lease)
      return takeIn(kv, { what: 'rwLock.write', key, before: place.prefix, served: 1 }, options)
    },
  }
}
