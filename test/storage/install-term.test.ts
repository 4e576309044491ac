// A snapshot may come from an old term. The term and vote that the replica has used since are not in it, and must
// survive its install.

import { expect, test } from 'vitest'
import { emptyConfiguration } from '../../src/raft/index.ts'
import { memoryReplica } from './replicas.ts'
import {
  applied,
  applyRows,
  batch,
  changes,
  closed,
  entries,
  hardState,
  must,
  sinkFor,
  store,
  stream,
  write,
} from './samples.ts'

test('term and vote are those of the write, not of the snapshot', async () => {
  const sender = await (await memoryReplica()).open()
  await store(sender, batch(hardState(2, 4), [write({ entries: entries(2, 4, 2) })]))
  applyRows(sender, changes({ k: 'v' }), applied(4, 2))
  const source = sender.snapshotSource()

  const replica = await memoryReplica()
  const storage = await replica.open()
  await stream(source, must(await sinkFor(storage, source)))
  const { index, term } = source.meta
  const state = { configuration: emptyConfiguration, leaderLeases: { on: false, durationMs: 0 } }
  const snapshot = { meta: { index, term, state }, snapshotId: source.id, keepLog: false }
  await store(storage, batch(hardState(5, 4, '3'), [write({ snapshot })]))
  await closed(storage)

  const again = await replica.open()
  expect(again.hardState).toEqual(hardState(5, 4, '3'))
  expect(again.applied).toMatchObject({ index: 4, term: 2 })
  await closed(again)
  await closed(sender)
})
