// Reports what the store of one process applies and writes. The store's other calls need no observer.

import type { Storage, StorageBatch } from '../../../src/storage/index.ts'
import type { Invariants, ObservedReplica } from '../oracle/invariants.ts'
import type { SimEngine } from './disk.ts'

/** Receives the calls. */
interface StorageEvents {
  written(batch: StorageBatch): void
  /** `rowBytes`: of the rows that the entry has changed. */
  applied(rowBytes: number): void
  /** The process has ended in this turn. Entries that it still applies can never be observed. */
  isOver(): boolean
}

/** Replaces three calls of this store, which no other process uses. */
export function observeStorage(
  storage: Storage,
  engine: SimEngine,
  replica: ObservedReplica,
  invariants: Invariants,
  events: StorageEvents,
): void {
  let bytesBefore = 0
  const begin = storage.begin.bind(storage)
  storage.begin = (...entry) => {
    begin(...entry)
    bytesBefore = storage.overlayBytes
  }
  const end = storage.end.bind(storage)
  storage.end = (record) => {
    // Between the parts of an entry, rows of entries before it become durable.
    bytesBefore = Math.min(bytesBefore, storage.overlayBytes)
    end(record)
    events.applied(storage.overlayBytes - bytesBefore)
    if (events.isOver()) return
    invariants.applies(replica, record, storage.stateHash)
    invariants.appliesToStore(replica, record)
  }
  const write = storage.write.bind(storage)
  storage.write = (batch, done) => {
    // The store decides which rows fit beside the writes.
    engine.label = invariants.begins(replica, batch, () => storage.appliedSubmitted)
    const installs = batch.writes.some(({ snapshot }) => snapshot !== undefined)
    write(batch, (error) => {
      if (error === undefined) {
        if (installs) invariants.installed(replica, storage)
        events.written(batch)
      }
      done(error)
    })
    engine.label = undefined
  }
}
