// What a process would find if it began now: the shipped store, opened on a copy of a disk. A crash at this very
// moment, but the cluster does not notice, so it can be had after every batch that is worth it.

import type { StoreLimits } from '../../src/storage/store.ts'
import type { Storage } from '../../src/storage/types.ts'
import type { SimDisk } from './disk.ts'

/** Undefined when the store refuses, for the reason given. */
export function recovered(
  disk: SimDisk,
  limits: StoreLimits,
): { readonly storage: Storage | undefined; readonly why: string } {
  const later: (() => void)[] = []
  const events = {
    later: (_: string, run: () => void) => void later.push(run),
    writing() {},
    durable() {},
    failed() {},
  }
  let storage: Storage | undefined
  let why = 'opening does not come to an end'
  disk.copy().open(limits, events, (error, opened) => {
    storage = opened
    why = error?.message ?? ''
  })
  // It reads on when it is open, rows and what is to be deleted: damage shows there, too.
  for (const run of later) run()
  return { storage, why }
}
