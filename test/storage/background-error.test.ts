// An error outside of any call. A read in the background fails, and the owner of the storage is notified at once, not
// at its next call.

import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { encodeChunk } from '../../src/storage/chunk.ts'
import type { Storage } from '../../src/storage/index.ts'
import { memoryDisk, openDisk } from './replicas.ts'
import { must, rowKey, scanOf, sinkFor } from './samples.ts'

/** A storage whose reads fail after `breaks` was called. It reads all rows in the background, as a large one does. */
async function breakable(): Promise<{ storage: Storage; breaks: () => void }> {
  let isBroken = false
  const beforeRead = (): void => {
    if (isBroken) throw new Error('EIO: the disk is gone')
  }
  const storage = await openDisk(memoryDisk(), undefined, { beforeRead }, {}, undefined, false)
  return {
    storage,
    breaks: () => {
      isBroken = true
    },
  }
}

const heard = (storage: Storage): string[] => {
  const told: string[] = []
  storage.whenFailed(({ message }) => told.push(message))
  return told
}

test('a read that fails in the background is told to the owner', async () => {
  const { storage, breaks } = await breakable()
  const told = heard(storage)
  // At this moment the storage reads all rows for its index.
  breaks()
  await turn()
  await turn()
  expect(told).toEqual([expect.stringContaining('EIO: the disk is gone')])
  expect(() => scanOf(storage)).toThrow('EIO')
})

test('an error from before the owner listened is told as soon as it listens', async () => {
  const { storage, breaks } = await breakable()
  breaks()
  await turn()
  await turn()
  expect(heard(storage)).toEqual([expect.stringContaining('EIO: the disk is gone')])
})

test('later writes and finished snapshots get the error in their callback', async () => {
  const { storage, breaks } = await breakable()
  const { storage: sender } = await breakable()
  const source = sender.snapshotSource()
  const sink = must(await sinkFor(storage, source))
  const told = heard(storage)
  breaks()
  expect(() => storage.get(rowKey('k'))).toThrow('EIO')
  expect(told).toHaveLength(1)
  const errors: (Error | undefined)[] = []
  sink.finish((error) => errors.push(error))
  sink.write(0, encodeChunk(source.id, 0, []), (error) => errors.push(error))
  expect(errors).toEqual([expect.any(Error), expect.any(Error)])
})
