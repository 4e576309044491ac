import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { conformance } from './conformance.ts'
import { levelReplica } from './replicas.ts'
import { applied, batch, changes, closed, entries, hardState, page, store, write } from './samples.ts'

conformance('LevelDB', levelReplica)

test('LevelDB: what was overwritten and deleted gives its room back when everything is compacted', async () => {
  const replica = await levelReplica({ limits: { writeBufferSize: 64 * 1024 } })
  const storage = await replica.open()
  onTestFinished(async () => {
    await closed(storage)
    await replica.dispose()
  })
  const bytesOfTables = (): number =>
    readdirSync(replica.dir)
      .filter((name) => name.endsWith('.ldb'))
      // LevelDB deletes files at any time.
      .reduce(
        (sum, name) => sum + (statSync(join(replica.dir, name), { throwIfNoEntry: false })?.size ?? 0),
        0,
      )
  await store(storage, batch(hardState(1, 21), [write({ entries: entries(2, 21, 1) })]))
  for (let index = 2; index <= 20; index++) {
    storage.apply(changes({ [`k${index}`]: 'v'.repeat(100_000) }), applied(index, 1))
    await store(storage, batch(hardState(1, 21)))
  }
  // What a view holds is given back with it.
  const view = storage.view()
  expect((await page(view, { bytesMax: 1e9 })).rows).toHaveLength(19)
  view.close()
  const gone = Object.fromEntries(Array.from({ length: 19 }, (_, at) => [`k${at + 2}`, undefined]))
  storage.apply(changes(gone), applied(21, 1))
  await store(storage, batch(hardState(1, 21)))
  const before = bytesOfTables()
  await new Promise<void>((resolve, reject) =>
    storage.compact((error) => (error === undefined ? resolve() : reject(error))),
  )
  expect(before).toBeGreaterThan(1_000_000)
  expect(bytesOfTables()).toBeLessThan(100_000)
})
