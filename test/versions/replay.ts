// The meaning of a log: its entries are applied to rows in memory, by the code of a checkout.

import type { Entry } from '../../src/raft/types.ts'
import type { Storage } from '../../src/storage/index.ts'
import type { Modules } from './checkout.ts'

export interface Replayed {
  readonly stateHash: string
  /** The registers, in JSON. */
  readonly state: string
}

/** Applies the entries behind the applied index of the storage. Nothing is written. */
export function replay({ applier, raft }: Modules, storage: Storage): Promise<Replayed> {
  const { promise, resolve, reject } = Promise.withResolvers<Replayed>()
  const state = storage.applied.raft
  const applying = new applier.Applier(
    storage,
    { coreEntryApplied: () => state, entryRead: () => run(), failed: reject },
    { entryApplied: () => undefined, leaseChanged: () => {}, authChanged: () => {} },
    10_000,
  )
  const run = (): void => {
    try {
      while (applying.pending) applying.run(() => false)
      if (applying.queued > 0) return
      resolve({ stateHash: storage.stateHash.toString(16), state: JSON.stringify(applying.state) })
    } catch (error) {
      reject(error)
    }
  }
  const entries: readonly Entry[] = storage.log.entries(
    raft.asIndex(storage.applied.index + 1),
    raft.asIndex(storage.log.lastIndex() + 1),
    2 ** 30,
  )
  applying.push(entries)
  run()
  return promise
}
