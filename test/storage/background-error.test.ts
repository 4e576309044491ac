// An error that nobody was waiting for: a read in the background fails, and whoever owns the storage hears of it at once, not with the next call.

import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { memoryDisk, openDisk } from './replicas.ts'

test('a read that fails in the background is told to the owner', async () => {
  let isBroken = false
  const storage = await openDisk(memoryDisk(), undefined, {
    beforeRead: () => {
      if (isBroken) throw new Error('EIO: the disk is gone')
    },
  })
  const told: string[] = []
  storage.whenFailed(({ message }) => told.push(message))
  // The keys of all rows are being read, for the filter of absent ones.
  isBroken = true
  await turn()
  await turn()
  expect(told).toEqual([expect.stringContaining('EIO: the disk is gone')])
  expect(() => storage.view()).toThrow('EIO')
})
