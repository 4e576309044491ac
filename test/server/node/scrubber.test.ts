// The scrub runs in slices with pauses, pass after pass, and ends the node only for damage.

import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { driverLimits } from '../../../src/server/node/limits.ts'
import { Scrubber } from '../../../src/server/node/upkeep/scrubber.ts'
import type { PageLimits, RowScan } from '../../../src/storage/index.ts'
import { memoryDisk, openDisk } from '../../storage/replicas.ts'
import {
  applied,
  applyRows,
  batch,
  changes,
  entries,
  hardState,
  store,
  write,
} from '../../storage/samples.ts'
import { VirtualClock } from '../virtual-clock.ts'

const { scrubEveryMs, scrubPauseMs } = driverLimits

/** A scrubber of four rows, one a slice, whose scans are counted. */
async function setUp(readsFirst = true) {
  const storage = await openDisk(memoryDisk(), undefined, {}, {}, undefined, readsFirst)
  await store(storage, batch(hardState(1, 9), [write({ entries: entries(2, 9, 1) })]))
  applyRows(storage, changes({ a: '1', b: '2', c: '3', d: '4' }), applied(2, 1))
  await store(storage, batch(hardState(1, 9)))
  const clock = new VirtualClock()
  const open = new Set<RowScan>()
  const slices: PageLimits[] = []
  let scans = 0
  let observers = 0
  const made = { scan: storage.scan.bind(storage), observe: storage.observe.bind(storage) }
  const levers = { fails: undefined as Error | undefined }
  storage.observe = (observer) => {
    observers++
    const endObservation = made.observe(observer)
    return () => {
      observers--
      endObservation()
    }
  }
  storage.scan = (range) => {
    scans++
    const scan = made.scan(range)
    open.add(scan)
    const { close, next } = { close: scan.close.bind(scan), next: scan.next.bind(scan) }
    scan.close = () => {
      open.delete(scan)
      close()
    }
    scan.next = (limits, done) => {
      slices.push(limits)
      if (levers.fails === undefined) next(limits, done)
      else setImmediate(done, levers.fails, [], false)
    }
    return scan
  }
  const failures: string[] = []
  const limits = { ...driverLimits, scrubSliceRows: 1, scrubSliceBytes: 1000 }
  const scrubber = new Scrubber(clock, storage, limits, ({ message }) => failures.push(message))
  return {
    ...{ clock, scrubber, failures, slices, levers },
    counts: () => ({ scans, open: open.size, observers }),
    /** Advances the time, and then completes the reads. */
    pass: async (ms: number): Promise<void> => {
      clock.advance(ms)
      for (let round = 0; round < 10; round++) await turn()
    },
  }
}

test('a pass begins after its pause, goes on slice by slice with pauses between, and is followed by another', async () => {
  const { scrubber, counts, pass, failures, slices } = await setUp()
  scrubber.start()
  let scans = 0
  for (let round = 0; round < 3; round++) {
    await pass(scrubEveryMs - 1)
    expect(counts()).toEqual({ scans, open: 0, observers: 0 })
    await pass(1)
    for (let slice = 1; slice < 4; slice++) {
      expect(counts()).toEqual({ scans: scans + slice, open: 0, observers: 1 })
      await pass(scrubPauseMs - 1)
      expect(counts()).toEqual({ scans: scans + slice, open: 0, observers: 1 })
      await pass(1)
    }
    scans += 4
    expect(counts()).toEqual({ scans, open: 0, observers: 0 })
  }
  for (const { rowsMax, bytesMax } of slices) expect([rowsMax, bytesMax]).toEqual([1, 1000])
  expect(failures).toEqual([])
})

test('the first pass begins at once where nobody has read all rows yet', async () => {
  const { scrubber, counts, pass } = await setUp(false)
  scrubber.start()
  await pass(0)
  expect(counts()).toMatchObject({ scans: 1 })
  for (let slice = 2; slice <= 4; slice++) await pass(scrubPauseMs)
  expect(counts()).toEqual({ scans: 4, open: 0, observers: 0 })
  await pass(scrubEveryMs - 1)
  expect(counts()).toMatchObject({ scans: 4 })
  await pass(1)
  expect(counts()).toMatchObject({ scans: 5 })
})

test('so does one after a snapshot has replaced all rows, and a pass in progress is not doubled', async () => {
  const { scrubber, counts, pass } = await setUp()
  scrubber.start()
  scrubber.replaced()
  await pass(0)
  expect(counts()).toMatchObject({ scans: 1, observers: 1 })
  scrubber.replaced()
  for (let slice = 2; slice <= 4; slice++) await pass(scrubPauseMs)
  expect(counts()).toEqual({ scans: 4, open: 0, observers: 0 })
  // A further snapshot, after a whole pass.
  scrubber.replaced()
  await pass(0)
  for (let slice = 2; slice <= 4; slice++) await pass(scrubPauseMs)
  expect(counts()).toEqual({ scans: 8, open: 0, observers: 0 })
  scrubber.stop()
  scrubber.replaced()
  await pass(scrubEveryMs)
  expect(counts()).toMatchObject({ scans: 8 })
})

test.each(['waits', 'pauses', 'reads'])(
  'one that is stopped while it %s reads no more, and keeps nothing',
  async (when) => {
    const { clock, scrubber, counts, pass, failures, levers } = await setUp()
    scrubber.start()
    if (when === 'pauses') await pass(scrubEveryMs)
    if (when === 'reads') clock.advance(scrubEveryMs)
    levers.fails = new Error('EIO')
    scrubber.stop()
    const { scans } = counts()
    await pass(3 * scrubEveryMs)
    expect([counts(), failures]).toEqual([{ scans, open: 0, observers: 0 }, []])
    expect(clock.timers).toBe(0)
  },
)

test('what cannot be read is a failure, said once', async () => {
  const { scrubber, failures, pass, counts, levers } = await setUp()
  scrubber.start()
  await pass(scrubEveryMs)
  levers.fails = new Error('EIO')
  await pass(scrubPauseMs)
  expect(failures).toEqual(['EIO'])
  const { scans } = counts()
  await pass(3 * scrubEveryMs)
  expect([failures, counts().scans]).toEqual([['EIO'], scans])
})
