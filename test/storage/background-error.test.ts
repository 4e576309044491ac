// An error that nobody was waiting for: a read in the background fails, and whoever owns the storage hears of it at
// once, not with the next call.

import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { encodeChunk } from '../../src/storage/chunk.ts'
import type { Storage } from '../../src/storage/index.ts'
import { memoryDisk, openDisk } from './replicas.ts'
import { must, rowKey, scanOf, sinkFor } from './samples.ts'

/** Until `break` is called all is well. */
async function breakable(): Promise<{ storage: Storage; breaks: () => void }> {
  let isBroken = false
  const storage = await openDisk(memoryDisk(), undefined, {
    beforeRead: () => {
      if (isBroken) throw new Error('EIO: the disk is gone')
    },
  })
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
  // The keys of all rows are being read, for the filter of absent ones.
  breaks()
  await turn()
  await turn()
  expect(told).toEqual([expect.stringContaining('EIO: the disk is gone')])
  expect(() => scanOf(storage)).toThrow('EIO')
})

test('one that failed before the owner listened is told as soon as it does', async () => {
  const { storage, breaks } = await breakable()
  breaks()
  await turn()
  await turn()
  expect(heard(storage)).toEqual([expect.stringContaining('EIO: the disk is gone')])
})

test('whoever writes or finishes a snapshot after it is told by the callback', async () => {
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
