// A mirror against a store and streams that the test plays: what its views show, also when compaction overtakes it at
// each step.

import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { AbortedError, CompactedError, QuorateError, UnavailableError } from '../../src/client/errors.ts'
import { type MirrorCalls, mirror } from '../../src/client/mirror.ts'
import type { KvRecord } from '../../src/client/types.ts'
import type { MirrorOptions, MirrorView } from '../../src/client/watch-types.ts'
import { asRevision } from '../../src/operations/forms/index.ts'
import type { DecodedWatchMessage } from '../../src/operations/watch.ts'
import { problem as refusal } from './relayed-node.ts'
import { created, problem, put, Scene, unavailable } from './watch-scene.ts'
import { clientOf, fake } from './with-fakes.ts'

/** Contents of a key at a revision. */
type Row = readonly [key: string | Buffer, revision: number]

const recordOf = ([key, revision]: Row): KvRecord => {
  const keyBytes = new Uint8Array(Buffer.from(key as string))
  const value = new Uint8Array(Buffer.from(`at ${revision}`))
  return {
    key: Buffer.from(keyBytes).toString(),
    keyBytes,
    ...{ createRevision: revision, modRevision: revision, version: 1, lease: undefined, value },
    text: () => `at ${revision}`,
    json: () => undefined,
  }
}

const compacted = () => new CompactedError('it is compacted', { code: 'compacted', written: 'no' }, AT_7)
const AT_7 = { compactRevision: 7, resumeFrom: 8 }

class MirrorScene extends Scene {
  revision = 4
  rows: readonly Row[] = []
  /** Called before each step. What it throws is the answer. */
  before: (step: 'count' | 'list' | 'record') => void = () => {}
  readonly minRevisions: (number | undefined)[] = []
  readonly listed: (number | undefined)[] = []
  readonly resyncs: Error[] = []
  /** Number of pauses, beside those of the watch. */
  listeners = 0

  readonly #calls = (): MirrorCalls => {
    const { interruption } = this.host
    const { reason, listen } = interruption(undefined)
    return {
      count: async ({ minRevision, onAnswer }) => {
        this.before('count')
        this.minRevisions.push(minRevision)
        const { revision } = this
        onAnswer?.({ node: 'n1', revision, consistency: 'linearizable', stalenessMs: undefined })
        return this.rows.length
      },
      list: ({ revision }) => this.#list(revision),
      watch: (options) => this.watch(options),
      interruption: {
        reason,
        listen: (end) => {
          this.listeners += 1
          const takeBack = listen(end)
          return () => {
            this.listeners -= 1
            takeBack()
          }
        },
      },
    }
  }

  async *#list(revision: number | undefined): AsyncGenerator<KvRecord, void, undefined> {
    this.before('list')
    this.listed.push(revision)
    for (const row of this.rows) {
      this.before('record')
      yield recordOf(row)
    }
  }

  mirror(options: Partial<MirrorOptions> = {}): AsyncGenerator<MirrorView, void, undefined> {
    const onResync = (cause: Error) => void this.resyncs.push(cause)
    return mirror(this.#calls(), { prefix: 'k', onResync, ...options })
  }
}

let scene: MirrorScene

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
  scene = new MirrorScene()
  // The node begins each watch.
  scene.onOpen = (feed) => feed.send(created(scene.revision))
})

afterEach(() => {
  vi.useRealTimers()
})

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

const deleted = (at: number, key: string): DecodedWatchMessage => {
  const revision = asRevision(at)
  const event = { type: 'delete', key: Buffer.from(key), revision, prev: undefined } as const
  return { kind: 'events', revision, events: [event] }
}

/** The next view, once so much time has passed that any pause has ended. */
async function next(views: AsyncGenerator<MirrorView, void, undefined>): Promise<unknown> {
  const coming = views.next()
  await pass(10_000)
  const { value } = await coming
  return value === undefined ? undefined : shown(value)
}

const shown = (view: MirrorView): unknown => [
  view.revision,
  ...[...view].map(([key, record]) => `${key} ${record.text()}`),
]

test('the watch begins with the revision after the one that was read, and each view is of one revision', async () => {
  scene.rows = [
    ['k1', 2],
    ['k3', 4],
  ]
  const views = scene.mirror()
  expect(await next(views)).toEqual([4, 'k1 at 2', 'k3 at 4'])
  expect([scene.listed, scene.asked.map(({ from }) => from)]).toEqual([[4], [5]])
  scene.feed.send(put(6, 'k2', 'k0'))
  expect(await next(views)).toEqual([6, 'k0 at 6', 'k1 at 2', 'k2 at 6', 'k3 at 4'])
  // While the application was busy.
  scene.feed.send(deleted(7, 'k1'), put(9, 'k1'), deleted(10, 'k2'))
  await pass(0)
  expect(await next(views)).toEqual([10, 'k0 at 6', 'k1 at 9', 'k3 at 4'])
  await views.return()
  expect([scene.resyncs, scene.atRest, scene.listeners]).toEqual([[], true, 0])
})

test('when its watch is overtaken by compaction, it reads the range anew, and says why', async () => {
  scene.rows = [['k1', 2]]
  const views = scene.mirror()
  await next(views)
  scene.feed.send(put(5, 'k2'), problem('compacted', { compact_revision: 7, resume_from: 8 }))
  expect(await next(views)).toEqual([5, 'k1 at 2', 'k2 at 5'])
  // Both are gone since.
  scene.revision = 9
  scene.rows = [['k3', 8]]
  expect(await next(views)).toEqual([9, 'k3 at 8'])
  expect(scene.resyncs).toMatchObject([{ name: 'CompactedError', compactRevision: 7, resumeFrom: 8 }])
  expect(scene.resyncs[0]).toBeInstanceOf(CompactedError)
  // It must not read an older revision than it has shown.
  expect([scene.minRevisions, scene.listed, scene.asked.map(({ from }) => from)]).toEqual([
    [undefined, 5],
    [4, 9],
    [5, 10],
  ])
  await views.return()
  expect([scene.atRest, scene.listeners]).toEqual([true, 0])
})

test.each([
  ['before the keys are read', 'list'],
  ['between two keys', 'record'],
] as const)('compaction %s is no error: they are read at a later revision', async (_when, step) => {
  scene.rows = [
    ['k1', 2],
    ['k2', 3],
  ]
  let seen = 0
  scene.before = (now) => {
    if (now !== step || ++seen !== (step === 'record' ? 2 : 1)) return
    scene.revision = 9
    scene.rows = [['k2', 8]]
    throw compacted()
  }
  const views = scene.mirror()
  expect(await next(views)).toEqual([9, 'k2 at 8'])
  expect([scene.resyncs.length, scene.listed.at(-1), scene.asked.at(-1)?.from]).toEqual([1, 9, 10])
  await views.return()
  expect([scene.atRest, scene.listeners]).toEqual([true, 0])
})

test('compaction between the reading of the keys and the watch is no error', async () => {
  scene.rows = [['k1', 2]]
  scene.refusals.push(compacted(), compacted())
  const views = scene.mirror()
  expect(await next(views)).toEqual([4, 'k1 at 2'])
  expect([scene.resyncs.length, scene.listed]).toEqual([2, [4, 4, 4]])
  await views.return()
  expect([scene.atRest, scene.listeners]).toEqual([true, 0])
})

test('a mirror that is overtaken again and again pauses longer and longer, and its signal ends it', async () => {
  scene.before = (step) => {
    if (step === 'list') throw compacted()
  }
  const views = scene.mirror()
  const ended = expect(views.next()).rejects.toBeInstanceOf(AbortedError)
  await pass(60_000)
  expect(scene.resyncs.length).toBeGreaterThan(10)
  expect(scene.resyncs.length).toBeLessThan(1000)
  scene.interrupt()
  await pass(0)
  await ended
  expect([scene.atRest, scene.listeners]).toEqual([true, 0])
})

test('a mirror that was shown pauses as shortly as the first time when it is overtaken again', async () => {
  const random = vi.spyOn(Math, 'random').mockReturnValue(0.999)
  onTestFinished(() => random.mockRestore())
  let left = 20
  scene.before = (step) => {
    if (step === 'list' && left-- > 0) throw compacted()
  }
  const views = scene.mirror()
  const first = views.next()
  await pass(60_000)
  await first
  let isShown = false
  const second = views.next().then(() => {
    isShown = true
  })
  scene.feed.send(problem('compacted', { compact_revision: 7, resume_from: 8 }))
  // The pause after twenty in a row is two seconds.
  await pass(100)
  expect([isShown, scene.resyncs.length]).toEqual([true, 21])
  await second
  await views.return()
  expect([scene.atRest, scene.listeners]).toEqual([true, 0])
})

test('a signal that fires in onResync ends it, and leaves nothing behind', async () => {
  scene.before = (step) => {
    if (step === 'list') throw compacted()
  }
  const views = scene.mirror({ onResync: () => scene.interrupt() })
  await expect(views.next()).rejects.toBeInstanceOf(AbortedError)
  expect([scene.atRest, scene.listeners]).toEqual([true, 0])
})

test('what onResync throws ends it, and is thrown to the application', async () => {
  const fault = new Error('of the application')
  scene.refusals.push(compacted())
  const views = scene.mirror({
    onResync: () => {
      throw fault
    },
  })
  await expect(views.next()).rejects.toBe(fault)
  expect([scene.atRest, scene.listeners]).toEqual([true, 0])
})

test('an error that is not compaction ends it', async () => {
  const failing = new UnavailableError('no leader', { code: 'no_leader', written: 'no' })
  scene.before = (step) => {
    if (step === 'count') throw failing
  }
  await expect(scene.mirror().next()).rejects.toBe(failing)
  expect([scene.resyncs, scene.atRest, scene.listeners]).toEqual([[], true, 0])
})

test('the buffer of its range may be used again at once', async () => {
  const node = await fake()
  node.fault = ({ target }) =>
    /^\/v1\/(txn|watch)/.test(target) ? refusal(404, 'not_found', 'no such route') : undefined
  const kv = clientOf([node])
  const prefix = Buffer.from('a/')
  const views = kv.mirror({ prefix })
  prefix.fill('z')
  const ended = expect(views.next()).rejects.toMatchObject({ code: 'not_found' })
  prefix.fill('z')
  await ended
  const asked = node.seen.map(({ target }) => /prefix=([^&]*)/.exec(target)?.[1])
  expect(asked).toEqual(['a%2F', 'a%2F', 'a%2F'])
})

test.each([
  ['its count', 'count'],
  ['its keys', 'list'],
  ['the watch behind it', 'watch'],
] as const)(
  'while the range is read anew it waits for a cluster that cannot serve %s',
  async (_what, step) => {
    scene.rows = [['k1', 2]]
    const views = scene.mirror()
    await next(views)
    scene.feed.send(problem('compacted', AT_7))
    scene.revision = 9
    scene.rows = [['k3', 8]]
    let failures = 3
    const fail = () => {
      if (failures-- > 0) throw new UnavailableError('no leader', { code: 'no_leader', written: 'no' })
    }
    if (step === 'watch') scene.refusals.push(...Array.from({ length: 3 }, unavailable))
    else scene.before = (now) => void (now === step && fail())
    expect(await next(views)).toEqual([9, 'k3 at 8'])
    expect(scene.resyncs).toMatchObject([{ name: 'CompactedError' }])
    await views.return()
    expect([scene.atRest, scene.listeners]).toEqual([true, 0])
  },
)

test('with a timeout it does not wait longer; an error that does not pass ends it in any case', async () => {
  for (const [options, error] of [
    [{ timeoutMs: 1000 }, unavailable()],
    [{}, new QuorateError('unknown', { code: 'bad_request', written: 'no' })],
  ] as const) {
    scene.before = () => {}
    const views = scene.mirror(options)
    await next(views)
    scene.feed.send(problem('compacted', AT_7))
    scene.before = () => {
      throw error
    }
    const ended = expect(views.next()).rejects.toBe(error)
    await pass(10_000)
    await ended
  }
  expect([scene.atRest, scene.listeners]).toEqual([true, 0])
})

test('keys are in the order of their bytes, and those that are not UTF-8 are found by their bytes', async () => {
  const [low, high] = [Buffer.from([0x6b, 0x80]), Buffer.from([0x6b, 0xff])]
  scene.rows = [
    ['k', 1],
    [low, 2],
    [high, 3],
  ]
  const views = scene.mirror()
  const { value: view } = await views.next()
  scene.feed.send(put(5, 'k\u{1f600}', 'k\uffff'))
  await next(views)
  expect([...(view?.values() ?? [])].map(({ keyBytes }) => Buffer.from(keyBytes).toString('hex'))).toEqual([
    '6b',
    '6b80',
    '6befbfbf',
    '6bf09f9880',
    '6bff',
  ])
  expect([view?.get(high)?.modRevision, view?.has(low), view?.has('k\ufffd'), view?.size]).toEqual([
    3,
    true,
    false,
    5,
  ])
  await views.return()
})
