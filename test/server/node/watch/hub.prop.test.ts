// Random writes, compactions, snapshots and slow clients: every watch receives the events that it requested, in order
// and once, each revision as a whole, and never progress too early.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { utf8 } from '../../../kv/store.ts'
import { runs } from '../../../runs.ts'
import { type Asked, World } from './world.ts'

const KEYS = ['a', 'a\0', 'aa', 'ab', 'b', 'ba', 'c', '\0'] as const
const key = fc.constantFrom(...KEYS)

const change = fc.tuple(key, fc.option(fc.string({ maxLength: 5 }), { nil: undefined, freq: 3 }))

const where = fc.oneof(
  key.map((name) => ({ key: utf8(name) })),
  fc.record({ start: key.map(utf8), end: fc.option(key.map(utf8), { nil: undefined }) }),
)

const asked = fc.record({
  where,
  // An offset from the revision of the node.
  offset: fc.option(fc.integer({ min: -60, max: 10 }), { nil: undefined }),
  only: fc.constantFrom(undefined, undefined, 'put' as const, 'delete' as const),
  prev: fc.boolean(),
  progressMs: fc.integer({ min: 100, max: 30_000 }),
  bufferMax: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.integer({ min: 1, max: 5 })),
})

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('change' as const),
      changes: fc.oneof(
        fc.array(change, { minLength: 1, maxLength: 4 }),
        fc.array(change, { minLength: 1, maxLength: 24 }),
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('txn' as const),
      changes: fc.uniqueArray(change, { selector: ([name]) => name, minLength: 1, maxLength: 6 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('delete-range' as const), start: key, end: fc.option(key) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('setting' as const), value: fc.integer({ min: 50, max: 90 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('apply' as const), count: fc.integer({ min: 1, max: 6 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('begin' as const), count: fc.integer({ min: 1, max: 3 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('notify' as const), count: fc.integer({ min: 1, max: 9 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('install' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('compact' as const), back: fc.nat(40) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('watch' as const), asked }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('take' as const),
      reader: fc.nat(),
      count: fc.integer({ min: 1, max: 9 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cancel' as const), reader: fc.nat() }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      ms: fc.constantFrom(0, 0, 0, 40, 1000, 20_000),
    }),
  },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

function take(next: Step, world: World): void {
  const { readers, leader, revision } = world
  switch (next.do) {
    case 'change':
    case 'txn':
      world.change(next.changes, next.do === 'txn')
      return
    case 'delete-range':
      world.deleteRange(next.start, next.end ?? undefined)
      return
    case 'setting':
      world.set({ rangeKeysMax: next.value })
      return
    case 'apply':
      world.apply(next.count)
      return
    case 'begin':
      world.begin(next.count)
      return
    case 'notify':
      world.notify(next.count)
      return
    case 'install':
      world.install()
      return
    case 'compact':
      world.compact(Math.max(1, leader.state.revision - next.back))
      return
    case 'watch': {
      const { offset, bufferMax, ...rest } = next.asked
      const from = offset === undefined ? undefined : Math.max(1, revision + offset)
      world.watch({ ...rest, from } as Asked, bufferMax)
      return
    }
    case 'take':
      readers[next.reader % Math.max(1, readers.length)]?.take(next.count)
      return
    case 'cancel':
      readers[next.reader % Math.max(1, readers.length)]?.cancel()
      return
    case 'wait':
      world.clock.advance(next.ms)
      return
  }
}

test('every watch is told what it asked for', () => {
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 1, maxLength: 120, size: 'max' }),
      fc.record({ watchSliceRows: fc.integer({ min: 1, max: 4 }), scanMs: fc.integer({ min: 0, max: 300 }) }),
      fc.record({ liveEventsMax: fc.integer({ min: 1, max: 6 }), stepsAtOnce: fc.nat(8) }),
      (steps, { scanMs, ...limits }, notification) => {
        const world = new World(limits, scanMs, notification)
        for (const next of steps) take(next, world)
        world.apply()
        world.settle()
        world.judge()
        for (const reader of world.readers) reader.judgeComplete()
        const isOpen = world.readers.map((reader) => reader.isOpen)
        world.hub.endAll('the node stops')
        world.judge()
        // A watch that ends reports the revision from which another node must continue.
        for (const [at, { end }] of world.readers.entries())
          if (isOpen[at]) expect(end?.resumeFrom).toBeGreaterThan(world.revision)
        world.expectRest()
      },
    ),
    { numRuns: runs(100) },
  )
})
