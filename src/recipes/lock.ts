// A fair lock.
//
// Promise: clients get the lock in the order in which their keys were created. The token of each holder, the revision
// that created its key, is greater than that of every holder before. `put` and `txn` of a held lock are done only while
// its key exists, in one transaction: a holder that was stopped and comes back writes nothing.
//
// Limits: no lock can keep a stopped process from going on, for a moment, after it has lost the lock. Give `token` to
// other systems that the lock protects, and let them refuse a lower token than the highest they have seen. `signal`
// fires before the lock can have been lost, by the clock of this machine, if the process runs. A holder that dies keeps
// the others waiting until its lease has ended (`ttlMs`). A line has room for as many clients as a transaction may read
// keys (`range_keys_max`, 10,000; with long names fewer, because of `range_bytes_max`, 4 MiB).
//
// A waiting client watches only the key before its own: a release wakes one client.
//
// Key: lock/NAME/LEASE     empty, with that lease; NAME as place.ts writes it

import { checkOptions } from '../client/validators.ts'
import { LOCK } from './checks.ts'
import { type HeldLock, type LockClient, type LockOptions, takeIn } from './line.ts'
import { placeOf } from './place.ts'

export async function lock(
  kv: LockClient,
  name: string | Uint8Array,
  options: LockOptions = {},
): Promise<HeldLock> {
  checkOptions('lock', options, LOCK)
  const { key, prefix } = placeOf('lock', 'lock', name)
  return takeIn(kv, { what: 'lock', key, before: prefix, served: 1 }, options)
}
