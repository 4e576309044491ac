// The content of a storage, in the form that is compared.

import { crc32 } from 'node:zlib'
import { asIndex, type Entry } from '../../src/raft/index.ts'
import { Scrub, type Storage } from '../../src/storage/index.ts'
import type { EntryMark, ReplicaState } from './trace-markers.ts'

export const entryMark = ({ term, frame }: Entry): EntryMark => [term, crc32(frame)]

export function readReplicaState(storage: Storage): ReplicaState {
  const { hardState, applied, log } = storage
  const [first, last] = [log.firstIndex(), log.lastIndex()]
  const entries = last < first ? [] : log.entries(first, asIndex(last + 1), Number.POSITIVE_INFINITY)
  return {
    boot: storage.boot,
    term: hardState.term,
    vote: hardState.vote ?? '',
    commit: hardState.commit,
    first,
    log: entries.map(entryMark),
    applied: [applied.index, applied.term],
    stateHash: storage.stateHash.toString(),
  }
}

/**
 * Reads every row and adds up their hashes. Rejects when a row is damaged, missing, or different from what was written.
 */
export async function scrub(storage: Storage): Promise<void> {
  const pass = new Scrub(storage)
  try {
    for (let finished = false; !finished; ) {
      finished = await new Promise<boolean>((resolve, reject) => {
        pass.step((error, done) => (error === undefined ? resolve(done) : reject(error)))
      })
    }
  } finally {
    pass.close()
  }
}

export const closed = (storage: Storage): Promise<void> =>
  new Promise((resolve, reject) => {
    storage.close((error) => (error === undefined ? resolve() : reject(error)))
  })
