// The scrub runs in slices with pauses, pass after pass, and ends the node only for what it has found.

import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { driverLimits } from '../../src/server/limits.ts'
import { Scrubber } from '../../src/server/scrubber.ts'
import type { Storage, View } from '../../src/storage/index.ts'
import { memoryDisk, openDisk } from '../storage/replicas.ts'
import { VirtualClock } from './virtual-clock.ts'

const { scrubEveryMs, scrubPauseMs } = driverLimits

/** A storage of three rows whose views are counted; `slices` of them are there to be read in each pass. */
async function setUp({ fails = false } = {}) {
  const clock = new VirtualClock()
  const storage = await openDisk(memoryDisk())
  const rows = 3
  let opened = 0
  let open = 0
  let watching = 0
  const views: { finish: () => void }[] = []
  const proxied: Storage = new Proxy(storage, {
    get(target, name) {
      if (name === 'watch')
        return (watcher: Parameters<Storage['watch']>[0]) => {
          watching++
          const unwatch = target.watch(watcher)
          return () => {
            watching--
            unwatch()
          }
        }
      if (name === 'view')
        return (): View => {
          const number = opened++
          open++
          const view = target.view()
          return {
            ...view,
            applied: view.applied,
            stateHash: view.stateHash,
            get: (key) => view.get(key),
            range: (range, done) => {
              views.push({
                finish: () => {
                  if (fails) done(new Error('EIO'), [], false)
                  else if (number % rows === rows - 1) done(undefined, [], false)
                  else done(undefined, [], true)
                },
              })
              expect(range).toMatchObject({ rowsMax: 2, bytesMax: 1000 })
            },
            close: () => {
              open--
              view.close()
            },
          }
        }
      const value = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const failures: string[] = []
  const limits = { ...driverLimits, scrubSliceRows: 2, scrubSliceBytes: 1000 }
  const scrubber = new Scrubber(clock, proxied, limits, ({ message }) => failures.push(message))
  return {
    ...{ clock, scrubber, failures, views },
    counts: () => ({ opened, open, watching }),
    finish: async () => {
      views.shift()?.finish()
      await turn()
    },
  }
}

test('the first pass begins after its pause, and nothing is read before', async () => {
  const { clock, scrubber, counts } = await setUp()
  scrubber.start()
  clock.advance(scrubEveryMs - 1)
  expect(counts()).toEqual({ opened: 0, open: 0, watching: 0 })
  clock.advance(1)
  expect(counts()).toEqual({ opened: 1, open: 1, watching: 1 })
})

test('one that is stopped reads no more, whether it waits, pauses or reads', async () => {
  for (const when of ['waits', 'reads', 'pauses'] as const) {
    const { clock, scrubber, counts, finish, failures } = await setUp({ fails: when === 'reads' })
    scrubber.start()
    if (when !== 'waits') clock.advance(scrubEveryMs)
    if (when === 'pauses') await finish()
    scrubber.stop()
    const { opened } = counts()
    if (when === 'reads') await finish()
    clock.advance(3 * scrubEveryMs)
    expect([when, counts(), failures]).toEqual([when, { opened, open: 0, watching: 0 }, []])
  }
})

test('what cannot be read is a failure, said once', async () => {
  const { clock, scrubber, failures, finish, counts } = await setUp({ fails: true })
  scrubber.start()
  clock.advance(scrubEveryMs)
  await finish()
  expect(failures).toEqual(['EIO'])
  clock.advance(3 * scrubEveryMs + scrubPauseMs)
  expect([failures, counts().opened]).toEqual([['EIO'], 1])
})

test('a pass is followed by another, after the pause', async () => {
  const clock = new VirtualClock()
  const storage = await openDisk(memoryDisk())
  let views = 0
  const counted: Storage = new Proxy(storage, {
    get(target, name) {
      if (name === 'view') views++
      const value = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const failures: Error[] = []
  const scrubber = new Scrubber(clock, counted, driverLimits, (error) => failures.push(error))
  scrubber.start()
  for (let pass = 1; pass <= 3; pass++) {
    clock.advance(scrubEveryMs)
    for (let round = 0; round < 20; round++) await turn()
    expect([views, failures]).toEqual([pass, []])
  }
  scrubber.stop()
})
