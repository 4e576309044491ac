// Entries wait in the applier's queue while a snapshot is installed; those that it covers must not be applied to its rows.

import { expect, test } from 'vitest'
import { encodeState, initialState } from '../../src/kv/index.ts'
import { asIndex, asTerm } from '../../src/raft/types.ts'
import { Applier } from '../../src/server/applier.ts'
import type { Storage } from '../../src/storage/index.ts'
import { pastEntries } from '../raft/harness/frames.ts'
import { memoryDisk, openDisk } from '../storage/replicas.ts'
import { closed, hardState } from '../storage/samples.ts'

const record = (index: number) => ({
  index: asIndex(index),
  term: asTerm(1),
  raft: new Uint8Array(),
  kv: encodeState(initialState()),
})

const formatted = (): Promise<Storage> =>
  openDisk(memoryDisk({ hardState: hardState(1, 1), applied: record(1) }))

test('what a snapshot covers leaves the queue', async () => {
  const storage = await formatted()
  const applied: number[] = []
  const applier = new Applier(storage, {
    coreEntryApplied: () => {},
    encodedRaftState: () => new Uint8Array(),
    applied: ({ index }) => void applied.push(index),
  })
  applier.push(pastEntries(2, [1, 1, 1, 1]))
  // The state is now that of index 4, by other means than the queue.
  storage.apply([], record(4))
  applier.reload()
  applier.run(() => false)
  expect(applied).toEqual([5])
  expect(applier.index).toBe(5)
  await closed(storage)
})
