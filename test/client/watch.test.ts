// A watch of the client against streams that the test plays: the batches that the application gets, whatever breaks.

import { getEventListeners } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { CompactedError, QuorateError } from '../../src/client/errors.ts'
import { watchSourceFrom } from '../../src/client/transport/watch-stream.ts'
import type { ClientWatch } from '../../src/client/watch.ts'
import { runs } from '../runs.ts'
import { created, endpoint, lineFrom, problem, progress, put, Scene, unavailable } from './watch-scene.ts'

let scene: Scene

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
  scene = new Scene()
})

afterEach(() => {
  vi.useRealTimers()
})

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

const revisions = async (watch: ClientWatch, count: number): Promise<number[]> => {
  const found: number[] = []
  while (found.length < count) {
    const { done, value } = await watch.next()
    if (done === true) break
    found.push(value.revision)
  }
  return found
}

test('it begins when it is called, and tells the events of a revision together', async () => {
  const watch = scene.watch({ prefix: 'k', prev: true, only: 'put', progressMs: 700 })
  await pass(0)
  expect(scene.asked).toMatchObject([
    {
      where: { start: Buffer.from('k'), end: new Uint8Array(Buffer.from('l')), isPrefix: true },
      from: undefined,
      prev: true,
      only: 'put',
      values: true,
      progressMs: 700,
    },
  ])
  scene.feed.send(created(4), put(6, 'k1', 'k2'), put(7, 'k1'))
  await expect(watch.ready).resolves.toBe(4)
  const { value } = await watch.next()
  expect(value?.revision).toBe(6)
  expect(value?.events.map(({ type, key }) => [type, key])).toEqual([
    ['put', 'k1'],
    ['put', 'k2'],
  ])
  expect([watch.revision, scene.seen]).toEqual([6, [6]])
  await watch.close()
  expect(scene.atRest).toBe(true)
})

test('before the first change it goes on behind the revision at which it began', async () => {
  const watch = scene.watch()
  await pass(0)
  scene.feed.send(created(4))
  await watch.ready
  scene.feed.end(new Error('the cable'))
  await pass(5000)
  expect(scene.asked.map(({ from }) => from)).toEqual([undefined, 5])
  await watch.close()
})

test('after an interruption it goes on with the next revision, and says so', async () => {
  const resumed: unknown[] = []
  const watch = scene.watch({ all: true, fromRevision: 3, onResume: (told) => void resumed.push(told) })
  await pass(0)
  scene.feed.send(created(4), put(3, 'a'), put(4, 'b'))
  expect(await revisions(watch, 2)).toEqual([3, 4])
  scene.feed.end(new Error('the cable'))
  await pass(0)
  expect(scene.asked.map(({ from }) => from)).toEqual([3, 5])
  scene.feed.send(created(9), put(8, 'a'))
  expect(await revisions(watch, 1)).toEqual([8])
  expect(resumed).toMatchObject([
    {
      endpoint: 'http://127.0.0.1:1',
      fromRevision: 5,
      cause: { message: expect.stringContaining('the cable') },
    },
  ])
  await watch.close()
})

test('what a progress has confirmed is not asked for again', async () => {
  const told: number[] = []
  const watch = scene.watch({ all: true, onProgress: (revision) => void told.push(revision) })
  await pass(0)
  scene.feed.send(created(4), put(5, 'a'), progress(7), progress(9))
  scene.feed.end()
  await pass(5000)
  expect(scene.asked.at(-1)?.from).toBe(10)
  expect(told).toEqual([])
  const next = watch.next()
  await pass(0)
  expect((await next).value?.revision).toBe(5)
  const waits = watch.next()
  // Only the last of several is reported, when everything before it was taken.
  expect([told, watch.revision]).toEqual([[9], 9])
  await watch.close()
  expect(await waits).toEqual({ done: true, value: undefined })
})

test('a progress of a watch from a later revision changes nothing', async () => {
  const watch = scene.watch({ all: true, fromRevision: 100 })
  await pass(0)
  scene.feed.send(created(4), progress(5))
  scene.feed.end()
  await pass(5000)
  expect([scene.asked.at(-1)?.from, watch.revision]).toEqual([100, 99])
  await watch.close()
})

test('a node that tells what lies before is left', async () => {
  const watch = scene.watch({ all: true, fromRevision: 5 })
  await pass(0)
  scene.feed.send(created(9), put(5, 'a'), put(5, 'a'))
  expect(await revisions(watch, 1)).toEqual([5])
  await pass(5000)
  expect(scene.feeds[0]?.isClosed).toBe(true)
  expect(scene.asked.at(-1)?.from).toBe(6)
  await watch.close()
})

test.each([
  ['another node', problem('not_ready', { resume_from: 5 })],
  ['another node when there is no leader', problem('no_leader', { resume_from: 5 })],
])('a stream that the node ends goes on at %s', async (_where, ending) => {
  const watch = scene.watch({ all: true, fromRevision: 3 })
  await pass(0)
  scene.feed.send(created(4), put(4, 'a'), ending)
  expect(await revisions(watch, 1)).toEqual([4])
  await pass(5000)
  expect(scene.asked.map(({ from }) => from)).toEqual([3, 5])
  await watch.close()
})

test('what was received comes before the news that the next events are compacted', async () => {
  const watch = scene.watch({ all: true, fromRevision: 3 })
  await pass(0)
  scene.feed.send(created(4), put(3, 'a'), problem('compacted', { compact_revision: 7, resume_from: 8 }))
  await pass(0)
  expect(await revisions(watch, 1)).toEqual([3])
  const error = await watch.next().catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(CompactedError)
  expect(error).toMatchObject({ code: 'compacted', compactRevision: 7, resumeFrom: 8, written: 'no' })
  expect(await watch.next()).toEqual({ done: true, value: undefined })
  expect(scene.atRest).toBe(true)
})

test('a right that ends, ends the watch', async () => {
  const watch = scene.watch({ all: true, fromRevision: 3 })
  await pass(0)
  scene.feed.send(created(4), put(3, 'a'), problem('permission_denied', { status: 403 }))
  await pass(0)
  expect(await revisions(watch, 1)).toEqual([3])
  const error = await watch.next().catch((reason: unknown) => reason)
  expect(error).toMatchObject({ code: 'permission_denied', written: 'no' })
  expect(scene.asked).toHaveLength(1)
  expect(scene.atRest).toBe(true)
})

test('a token that ends does not end the watch: it begins again, and the node has not failed', async () => {
  const failed = vi.spyOn(endpoint, 'failed')
  onTestFinished(() => failed.mockRestore())
  const watch = scene.watch({ all: true, fromRevision: 3 })
  await pass(0)
  scene.feed.send(created(4), put(3, 'a'), problem('unauthenticated', { status: 401 }))
  await pass(1000)
  expect(scene.asked.map(({ from }) => from)).toEqual([3, 4])
  expect(failed).not.toHaveBeenCalled()
  await watch.close()
})

test('a node that ends a watch as compacted has not failed, nor has one that the application is too slow for', async () => {
  const failed = vi.spyOn(endpoint, 'failed')
  onTestFinished(() => failed.mockRestore())
  const watch = scene.watch({ all: true, fromRevision: 3 })
  await pass(0)
  scene.feed.send(created(4), put(3, 'a'), problem('compacted', { compact_revision: 7, resume_from: 8 }))
  await pass(0)
  expect(failed).not.toHaveBeenCalled()
  await watch.close()
  scene.isShared = true
  const other = scene.watch({ all: true, fromRevision: 3 })
  await pass(0)
  scene.feed.send(created(4), put(3, 'x'.repeat(2_400_000)), put(4, 'a'))
  while (!scene.feed.isClosed) await nextTurn()
  expect((await other.next()).value?.revision).toBe(3)
  await pass(1000)
  expect(scene.asked.map(({ from }) => from)).toEqual([3, 3, 4])
  expect(failed).not.toHaveBeenCalled()
  scene.feed.send(created(4), problem('not_ready'))
  await pass(0)
  expect(failed).toHaveBeenCalledOnce()
  await other.close()
})

test('nor has one whose stream broke after the application had left it full', async () => {
  const failed = vi.spyOn(endpoint, 'failed')
  onTestFinished(() => failed.mockRestore())
  const watch = scene.watch({ all: true, fromRevision: 3 })
  await pass(0)
  scene.feed.send(created(4), put(3, 'x'.repeat(2_400_000)), put(4, 'a'))
  await pass(0)
  scene.feed.end(new Error('other side closed'))
  expect(await revisions(watch, 2)).toEqual([3, 4])
  await pass(5000)
  expect(scene.asked.map(({ from }) => from)).toEqual([3, 5])
  expect(failed).not.toHaveBeenCalled()
  // It was slow before, and takes what comes now.
  scene.feed.send(created(5), put(5, 'x'.repeat(2_400_000)), progress(5))
  await pass(0)
  expect(await revisions(watch, 1)).toEqual([5])
  await pass(0)
  scene.feed.end(new Error('other side closed'))
  await pass(0)
  expect(failed).toHaveBeenCalledOnce()
  await watch.close()
})

test('a node that does not begin it in time is an error; later it waits for as long as it takes', async () => {
  scene.refusals.push(unavailable())
  const watch = scene.watch()
  await expect(watch.next()).rejects.toMatchObject({ code: 'no_leader' })
  await expect(watch.ready).rejects.toMatchObject({ code: 'no_leader' })
  const other = scene.watch()
  await pass(0)
  scene.feed.send(created(4))
  await other.ready
  scene.refusals.push(...Array.from({ length: 50 }, unavailable))
  scene.feed.end()
  await pass(120_000)
  expect(scene.refusals).toEqual([])
  scene.feed.send(created(6), put(6, 'k'))
  expect(await revisions(other, 1)).toEqual([6])
  await other.close()
  expect(scene.atRest).toBe(true)
})

test('with a timeout it fails when no node serves it for so long', async () => {
  const watch = scene.watch({ all: true, timeoutMs: 3000 })
  await pass(0)
  scene.feed.send(created(4))
  await watch.ready
  scene.refusals.push(...Array.from({ length: 50 }, unavailable))
  scene.feed.end()
  const failed = expect(watch.next()).rejects.toMatchObject({ code: 'no_leader' })
  await pass(10_000)
  await failed
  expect(scene.atRest).toBe(true)
})

test('a node that ends every stream before the watch has begun is given up when the time is over', async () => {
  scene.onOpen = (feed) => feed.end(new Error('the cable'))
  const watch = scene.watch()
  const failed = expect(watch.next()).rejects.toMatchObject({ code: 'timeout', name: 'UnavailableError' })
  await pass(10_000)
  await failed
  expect(scene.atRest).toBe(true)
})

test('a node that takes the request and does not begin the watch is given up when the time is over', async () => {
  const watch = scene.watch({ all: true, progressMs: 3_600_000 })
  const failed = expect(watch.ready).rejects.toMatchObject({ code: 'timeout', name: 'UnavailableError' })
  await pass(5000)
  await failed
  expect(scene.atRest).toBe(true)
  const other = scene.watch()
  await pass(4999)
  scene.feed.send(created(4))
  await other.ready
  await pass(60_000)
  scene.feed.send(put(5, 'k'))
  expect(await revisions(other, 1)).toEqual([5])
  await other.close()
  expect(scene.atRest).toBe(true)
})

test('an answer that no node should give does not end a watch that has begun', async () => {
  const watch = scene.watch()
  await pass(0)
  scene.feed.send(created(4))
  await watch.ready
  for (const code of ['internal', 'unexpected_answer'])
    scene.refusals.push(new QuorateError('a fault', { code, written: 'no' }))
  scene.feed.end()
  await pass(5000)
  scene.feed.send(created(6), put(6, 'k'))
  expect(await revisions(watch, 1)).toEqual([6])
  await watch.close()
})

test('nodes that end every stream at once are not asked without a pause, also after the watch has worked', async () => {
  const watch = scene.watch()
  await pass(0)
  scene.onOpen = (feed) => {
    feed.send(created(5))
    feed.end()
  }
  scene.feed.send(created(4), put(5, 'k'))
  scene.feed.end()
  expect(await revisions(watch, 1)).toEqual([5])
  await pass(10_000)
  // Without pauses it would be thousands.
  expect(scene.asked.length).toBeLessThan(100)
  await watch.close()
  await pass(0)
  expect(scene.atRest).toBe(true)
})

test('its pauses are as short as at first after each outage, however long the last one was', async () => {
  const watch = scene.watch()
  await pass(0)
  scene.feed.send(created(1))
  await watch.ready
  for (let outage = 0; outage < 3; outage++) {
    scene.refusals.push(...Array.from({ length: 10 }, unavailable))
    scene.feed.end()
    await pass(30_000)
    const revision = 10 + outage
    scene.feed.send(created(revision), put(revision, 'k'))
    expect(await revisions(watch, 1)).toEqual([revision])
    const count = scene.feeds.length
    scene.refusals.push(unavailable())
    scene.feed.end()
    // Three times the shortest pause.
    await pass(61)
    expect(scene.feeds.length).toBe(count + 1)
    scene.feed.send(created(revision))
    await pass(0)
  }
  await watch.close()
})

test('the pauses of a watch that is interrupted again and again leave nothing behind', async () => {
  const watch = scene.watch()
  await pass(0)
  scene.feed.send(created(1))
  await watch.ready
  scene.refusals.push(...Array.from({ length: 10 }, unavailable))
  scene.feed.end()
  await pass(30_000)
  expect([scene.refusals.length, scene.feeds.length]).toEqual([0, 2])
  expect(getEventListeners(scene.signal ?? new AbortController().signal, 'abort')).toEqual([])
  await watch.close()
})

test('an error that no other node can mend ends it', async () => {
  const watch = scene.watch()
  await pass(0)
  scene.feed.send(created(4))
  await watch.ready
  scene.refusals.push(new QuorateError('no', { code: 'bad_request', written: 'no' }))
  scene.feed.end()
  const refused = expect(watch.next()).rejects.toMatchObject({ code: 'bad_request' })
  await pass(5000)
  await refused
  expect(scene.atRest).toBe(true)
})

test('while the application takes nothing, so much is received and no more', async () => {
  const watch = scene.watch({ all: true, fromRevision: 1 })
  await pass(0)
  const large = (revision: number) => put(revision, 'x'.repeat(400_000))
  scene.feed.send(created(1), ...Array.from({ length: 30 }, (_, at) => large(at + 2)))
  await pass(0)
  expect(scene.feed.waiting).toBeGreaterThan(20)
  expect(await revisions(watch, 30)).toEqual(Array.from({ length: 30 }, (_, at) => at + 2))
  expect(scene.feed.waiting).toBe(0)
  await watch.close()
})

test('what is given back leaves room again, each time that the application was too slow', async () => {
  scene.isShared = true
  const watch = scene.watch({ all: true, fromRevision: 2 })
  await pass(0)
  for (let revision = 2; revision < 8; revision++) {
    expect(scene.feed.request.from).toBe(revision)
    const [large, excess] = ['x'.repeat(2_400_000), 'x'.repeat(1_200_000)]
    scene.feed.send(created(9), put(revision, large), put(revision + 1, excess))
    while (!scene.feed.isClosed) await nextTurn()
    expect((await watch.next()).value?.revision).toBe(revision)
    await pass(1_000)
  }
  expect(scene.asked.map(({ from }) => from)).toEqual([2, 3, 4, 5, 6, 7, 8])
  await watch.close()
})

test('small events count for the memory that they take', async () => {
  const watch = scene.watch({ all: true, fromRevision: 1 })
  await pass(0)
  const count = 10_000
  scene.feed.send(created(1), ...Array.from({ length: count }, (_, at) => put(at + 2, 'k')))
  await pass(0)
  // Events of about 1 KB each.
  expect(scene.feed.waiting).toBeGreaterThan(count - 6_000)
  expect(await revisions(watch, count)).toEqual(Array.from({ length: count }, (_, at) => at + 2))
  await watch.close()
})

test('break, close and return end it at once, also while it waits', async () => {
  const watch = scene.watch()
  await pass(0)
  scene.feed.send(created(1), put(2, 'k'), put(3, 'k'))
  for await (const { revision } of watch) if (revision === 2) break
  expect(scene.atRest).toBe(true)
  expect(await watch.next()).toEqual({ done: true, value: undefined })
  const other = scene.watch()
  await pass(0)
  const waits = [other.next(), other.next()]
  await other.close()
  expect(await Promise.all(waits)).toEqual(Array(2).fill({ done: true, value: undefined }))
  await expect(other.ready).rejects.toMatchObject({ name: 'AbortError' })
  expect(scene.atRest).toBe(true)
})

test('what was received and not taken is not told when the watch was closed, nor how it ended', async () => {
  const watch = scene.watch({ all: true, fromRevision: 1 })
  await pass(0)
  scene.feed.send(created(4), put(2, 'k'), put(3, 'k'), problem('compacted', { compact_revision: 7 }))
  expect(await revisions(watch, 1)).toEqual([2])
  await pass(0)
  await watch.close()
  expect(await watch.next()).toEqual({ done: true, value: undefined })
})

test('a watch that is closed while it looks for a node leaves nothing behind', async () => {
  const watch = scene.watch()
  await pass(0)
  scene.feed.send(created(1))
  await watch.ready
  scene.refusals.push(unavailable(), unavailable())
  scene.feed.end()
  await pass(0)
  await watch.close()
  await pass(0)
  expect(scene.atRest).toBe(true)
})

test('its signal ends it with an AbortError, whatever was received', async () => {
  const watch = scene.watch()
  await pass(0)
  scene.feed.send(created(1), put(2, 'k'))
  await pass(0)
  scene.interrupt()
  await expect(watch.next()).rejects.toMatchObject({ name: 'AbortError' })
  expect(scene.atRest).toBe(true)
  // It had fired before.
  await expect(scene.watch().next()).rejects.toMatchObject({ name: 'AbortError' })
  expect(scene.atRest).toBe(true)
})

test('what a callback throws ends it, and is thrown to the application', async () => {
  const fault = new Error('of the application')
  const thrown = () => {
    throw fault
  }
  const watch = scene.watch({ all: true, onProgress: thrown })
  await pass(0)
  scene.feed.send(created(1), progress(2))
  await expect(watch.next()).rejects.toBe(fault)
  expect(scene.atRest).toBe(true)
  const other = scene.watch({ all: true, onResume: thrown })
  await pass(0)
  scene.feed.send(created(1))
  await other.ready
  scene.feed.end()
  await pass(5000)
  scene.feed.send(created(2))
  await expect(other.next()).rejects.toBe(fault)
  expect(scene.atRest).toBe(true)
})

test('over HTTP, a node that tells nothing for so long as it must not is left; the time of the application does not count', async () => {
  const stream = new Readable({ read() {} }) as IncomingMessage
  const { messages } = watchSourceFrom(
    { kind: 'streaming', head: { clusterId: undefined, node: undefined }, stream, endpoint },
    { values: true, silentMs: 1200 },
  )
  const told = messages[Symbol.asyncIterator]()
  for (let revision = 1; revision < 4; revision++) {
    const next = told.next()
    await pass(1100)
    stream.push(lineFrom(progress(revision)))
    expect((await next).value).toEqual(progress(revision))
    await pass(5000)
  }
  const failed = expect(told.next()).rejects.toMatchObject({ code: 'timeout', name: 'UnavailableError' })
  await pass(1200)
  await failed
  expect([stream.destroyed, vi.getTimerCount()]).toEqual([true, 0])
})

/** How far a stream goes, in messages, and how it ends. */
const ending = fc.record({
  after: fc.nat(12),
  kind: fc.constantFrom('cut', 'ended', 'told', 'refused' as const),
  progresses: fc.boolean(),
})

test('every revision from the first on comes once and in order, however often streams break', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.integer({ min: 2, max: 200 }), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 210 }),
      fc.array(ending, { maxLength: 30 }),
      fc.integer({ min: 1, max: 5 }),
      fc.boolean(),
      // With the larger ones few fill the buffer.
      fc.constantFrom('k', 'k'.repeat(200_000)),
      async (touched, from, endings, pace, isShared, key) => {
        scene = new Scene()
        scene.isShared = isShared
        const told = touched.toSorted((a, b) => a - b)
        const left = [...endings]
        scene.onOpen = (feed) => {
          const start = feed.request.from ?? Number.NaN
          const how = left.shift()
          const all = [created(200)]
          for (const revision of told.filter((each) => each >= start)) {
            if (how?.progresses === true && revision > 2) all.push(progress(revision - 1))
            all.push(put(revision, key))
          }
          if (how === undefined) {
            feed.send(...all, progress(200))
            return
          }
          feed.send(...all.slice(0, how.after))
          // A watch that has not begun is not tried without end.
          if (how.kind === 'refused' && how.after > 0) scene.refusals.push(unavailable())
          if (how.kind === 'told') feed.send(problem('not_ready'))
          feed.end(how.kind === 'cut' ? new Error('the cable') : undefined)
        }
        const watch = scene.watch({ prefix: 'k', fromRevision: from })
        const wanted = told.filter((revision) => revision >= from)
        const found: number[] = []
        // The application takes some at a time, with pauses.
        while (found.length < wanted.length) {
          for (let taken = 0; taken < pace && found.length < wanted.length; taken++) {
            const next = watch.next()
            let isTold = false
            void next.then(() => (isTold = true))
            for (let waited = 0; !isTold && waited < 100; waited++) await pass(1000)
            found.push((await next).value?.revision ?? Number.NaN)
          }
          await pass(500)
        }
        expect(found).toEqual(wanted)
        await watch.close()
        await pass(0)
        expect(scene.atRest).toBe(true)
      },
    ),
    { numRuns: runs(100) },
  )
})
