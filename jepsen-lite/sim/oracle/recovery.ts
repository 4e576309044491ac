// The state that a process would recover now: the shipped store, opened on a copy of a disk. It is a crash at this
// moment that the cluster does not notice, so it can be tested after every batch where it is useful.

import type { StoreLimits } from '../../../src/server/node/key-index/key-index.ts'
import type { Storage } from '../../../src/storage/types.ts'
import type { SimDisk } from '../world/disk.ts'

/** Undefined when the store refuses; the reason is reported. */
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
  // After opening it reads rows and what is to be deleted. Damage shows there too.
  for (const run of later) run()
  return { storage, why }
}
