// The hub with single watches, case by case. hub.prop.test.ts draws them at random.

import { expect, test } from 'vitest'
import { runSteps } from '../../../../src/kv/index.ts'
import { RevisionEvents } from '../../../../src/server/node/watch/events.ts'
import type { EventsMessage, MessageForm } from '../../../../src/server/node/watch/index.ts'
import { PREV_BYTES_MAX } from '../../../../src/server/node/watch/index.ts'
import { ask, MemoryStore, putOf, rev, utf8 } from '../../../kv/store.ts'
import { type Reader, World } from './world.ts'

const revisions = (reader: Reader): number[] =>
  reader.messages.flatMap(({ kind, revision }) => (kind === 'events' ? [revision] : []))
const progresses = (reader: Reader): number[] =>
  reader.messages.flatMap(({ kind, revision }) => (kind === 'progress' ? [revision] : []))

/** Puts one key this many times, each in a separate entry. */
function puts(world: World, count: number, key = 'a'): void {
  for (let at = 0; at < count; at++) world.change([[key, `${at}`]])
  world.apply()
}

test('a silent watch is told its progress in time, whatever its interval, and a message counts as news', () => {
  const world = new World()
  const intervals = [100, 130, 1000, 12_800, 20_000, 60_000]
  const readers = intervals.map((progressMs) => world.watch({ progressMs }))
  const phased = [0, 0.5, 0.99].flatMap((phase) =>
    intervals.map((progressMs) => ({ progressMs, reader: world.watch({ progressMs, phase }) })),
  )
  const other = world.watch({ where: { key: utf8('b') }, progressMs: 1000 })
  world.clock.advance(60_000)
  for (const [at, reader] of readers.entries()) {
    const interval = intervals[at] ?? 0
    // Never later than requested, and earlier by less than a tick of 50 ms.
    expect(progresses(reader).length).toBeGreaterThanOrEqual(Math.floor(60_000 / interval))
    expect(progresses(reader).length).toBeLessThanOrEqual(Math.ceil(60_000 / (interval - 50)))
  }
  for (const { progressMs, reader } of phased)
    expect(progresses(reader).length).toBeGreaterThanOrEqual(Math.floor(60_000 / progressMs))
  const before = progresses(other).length
  for (let at = 0; at < 10; at++) {
    world.change([['b', `${at}`]])
    world.apply()
    world.clock.advance(900)
  }
  expect([progresses(other).length, revisions(other).length]).toEqual([before, 10])
  world.clock.advance(150)
  expect(progresses(other).at(-1)).toBe(world.revision)
  world.judge()
  world.expectRest()
})

test('watches of one connection are told their progress together, in time, whenever they have begun', () => {
  const world = new World()
  const where = { key: utf8('idle') }
  const connections = [0, 0.3, 0.999].map((phase) => ({ phase, readers: [] as Reader[], calls: 0 }))
  for (let at = 0; at < 50; at++) {
    for (const { phase, readers } of connections) readers.push(world.watch({ where, phase }))
    world.clock.advance(173)
  }
  world.clock.advance(10_000)
  const count = (readers: readonly Reader[]) => readers.flatMap(progresses).length
  for (const connection of connections) {
    const { readers } = connection
    const before = count(readers)
    let told = before
    for (let ms = 0; ms < 60_000; ms += 50) {
      world.clock.advance(50)
      if (count(readers) > told) connection.calls++
      told = count(readers)
    }
    // Each receives it once in its interval, as if it was alone, and all of them in two calls instead of fifty.
    expect([told - before, connection.calls <= 2 * 6]).toEqual([6 * 50, true])
  }
  // After an event, progress follows no earlier than half of the interval, and no later than all of it.
  world.change([['idle', '1']])
  world.apply()
  const all = connections.flatMap(({ readers }) => readers)
  const before = count(all)
  world.clock.advance(4_900)
  expect(count(all)).toBe(before)
  world.clock.advance(5_100)
  expect(count(all)).toBe(before + all.length)
  world.judge()
  world.expectRest()
})

test.each([
  [1, 8],
  [2, 8],
  [3, 8],
  [7, 8],
  [1, 100],
])(
  'where there is room for the progress of %d of the %d watches of a connection, none is passed over for ever',
  (roomMax, count) => {
    const world = new World()
    let room = 0
    const told = Array.from({ length: count }, () => 0)
    const watches = told.map((_, at) => {
      const sink = {
        phase: 0.3,
        get isFull() {
          return room === 0
        },
        progress: () => {
          room--
          told[at] = (told[at] ?? 0) + 1
        },
        events: () => {},
        waits: () => {},
        ended: () => {},
      }
      const where = { key: utf8('a') }
      const options = { from: undefined, only: undefined, prev: false, values: true, progressMs: 1000 }
      return world.hub.open({ where, ...options }, sink)
    })
    for (let ms = 0; ms < 10_000; ms += 50) {
      // The client reads all messages at once.
      room = roomMax
      world.clock.advance(50)
    }
    // Once in each interval, except for the first time, or as often as 200 ticks have room.
    const times = Math.min(9, Math.floor((200 * roomMax) / count) - 1)
    for (const each of told) expect(each).toBeGreaterThanOrEqual(times)
    for (const watch of watches) if (watch.ok) watch.value.cancel()
    world.expectRest()
  },
)

test('nothing is timed or kept when nobody watches', () => {
  const world = new World()
  const reader = world.watch()
  expect(world.clock.timers).toBe(1)
  reader.cancel()
  puts(world, 40)
  world.expectRest()
})

test('a watch that falls behind while others do not is told everything, in slices, beside them', () => {
  const world = new World({ watchSliceRows: 1 })
  const [slow, fast] = [world.watch({}, 2), world.watch()]
  puts(world, 100)
  expect([revisions(slow).length, revisions(fast).length]).toEqual([2, 100])
  expect(world.hub.counts()).toMatchObject({ slow: 1, slowTotal: 1, behind: 0 })
  slow.take(1)
  world.clock.advance(0)
  expect(revisions(slow)).toHaveLength(2)
  world.settle()
  expect(revisions(slow)).toHaveLength(100)
  world.judge()
  world.expectRest()
})

test('a watch that reads history pauses when its time is over, also where it finds nothing to tell', () => {
  const world = new World({ watchSliceRows: 16, watchSliceMs: 2 })
  puts(world, 200)
  world.readMs = 1
  world.watch({ from: 2, where: { key: utf8('b') } })
  const reads: number[] = []
  // Records the reads of each turn, until the watch is no longer behind.
  const look = (): void => {
    reads.push(world.reads)
    if (world.hub.counts().behind > 0) world.clock.soon(look)
  }
  look()
  world.clock.advance(0)
  const inTurns = reads.map((count, turn) => count - (reads[turn - 1] ?? count))
  expect(Math.max(...inTurns)).toBe(2)
  world.expectRest()
})

test('a watch that reads history sends no more than its client may have waiting', () => {
  const world = new World()
  puts(world, 40)
  const reader = world.watch({ from: 2 }, 3)
  for (let taken = 0; taken < 40; taken += 3) {
    world.clock.advance(10)
    expect(revisions(reader)).toHaveLength(Math.min(40, taken + 3))
    reader.take(3)
  }
  world.settle()
  world.judge()
  world.expectRest()
})

test('progress of a watch that reads history is no further than what it was told', () => {
  // A search must find its row, which takes long.
  const world = new World({}, 500)
  puts(world, 60)
  const reader = world.watch({ from: 10, progressMs: 100 })
  world.clock.advance(400)
  expect(progresses(reader).length).toBeGreaterThan(2)
  expect(new Set(progresses(reader))).toEqual(new Set([9]))
  world.clock.advance(1000)
  expect(revisions(reader)[0]).toBe(10)
  expect(progresses(reader).at(-1)).toBe(world.revision)
  world.judge()
})

test('a watch that waits for its client is told no progress, so that a slow client takes all and goes on', () => {
  const world = new World()
  const reader = world.watch({ progressMs: 100 }, 2)
  puts(world, 5)
  // It reads one message in two intervals: with progress among them, its queue would never be empty.
  for (let at = 0; at < 20; at++) {
    world.clock.advance(200)
    reader.take(1)
  }
  expect(revisions(reader)).toHaveLength(5)
  world.settle()
  world.judge()
  world.expectRest()
})

test('watches that come back together share one search and the rows that it leads to', () => {
  const world = new World({}, 10)
  puts(world, 200)
  const readers = Array.from({ length: 50 }, () => world.watch({ from: 60 }))
  const before = world.reads
  world.clock.advance(5)
  expect(world.openScans).toBe(1)
  world.settle()
  for (const reader of readers) expect(revisions(reader)).toHaveLength(142)
  // Each row of events, and each version in it, is read about once.
  expect(world.reads - before).toBeLessThan(400)
  world.judge()
  world.expectRest()
})

test('watches that come one after the other share rows, which are kept for a second after the last one', () => {
  const world = new World({}, 10)
  puts(world, 200)
  const other = world.watch()
  const readOf = (): number => {
    const before = world.reads
    const reader = world.watch({ from: 60 })
    world.settle()
    expect(revisions(reader)).toHaveLength(142)
    return world.reads - before
  }
  expect(readOf()).toBeGreaterThan(142)
  world.clock.advance(900)
  // The newest row may have become longer.
  expect(readOf()).toBeLessThan(20)
  world.clock.advance(900)
  expect(readOf()).toBeLessThan(20)
  world.clock.advance(1_100)
  expect(world.hub.inspect()).toMatchObject({ open: 4, rowsKept: 0 })
  expect(readOf()).toBeGreaterThan(142)
  other.cancel()
  world.judge()
  world.expectRest()
})

test('a search that ends for lack of disk space is begun anew', () => {
  const world = new World({}, 10)
  puts(world, 60)
  const reader = world.watch({ from: 5 })
  world.endsScans = true
  world.clock.advance(35)
  expect(revisions(reader)).toEqual([])
  world.endsScans = false
  world.settle()
  expect(revisions(reader)).toHaveLength(57)
  world.judge()
  world.expectRest()
})

test('a watch whose search is under way may go away, and may lose its events to compaction', () => {
  const world = new World({}, 10)
  puts(world, 60)
  const [gone, overtaken] = [world.watch({ from: 5 }), world.watch({ from: 6 })]
  world.clock.advance(1)
  gone.cancel()
  world.compact(50)
  world.apply()
  world.settle()
  expect(overtaken.end).toMatchObject({ kind: 'compacted', next: 6, compactRevision: 50, resumeFrom: 50 })
  expect(world.hub.counts()).toMatchObject({ open: 0, compactedTotal: 1 })
  world.judge()
  world.expectRest()
})

test.each<[string, (world: World) => void]>([
  [
    'compaction',
    (world) => {
      world.compact(50)
      world.apply()
    },
  ],
  [
    'a snapshot',
    (world) => {
      world.change([['a', 'last']])
      world.compact(50)
      world.install()
    },
  ],
])('very many watches whose events are gone by %s while their row is looked for all end', (_, happens) => {
  const many = 5_000
  const world = new World({ watchesMax: many }, 10)
  puts(world, 60)
  const readers = Array.from({ length: many }, () => world.watch({ from: 6 }))
  // Advances until all of them wait for the search.
  for (let turn = 0; turn < 9; turn++) world.clock.advance(1)
  happens(world)
  world.settle()
  expect(world.failures).toEqual([])
  expect(readers.filter(({ end }) => end?.kind !== 'compacted')).toEqual([])
  world.expectRest()
})

test('a live watch that has had no event for long lacks nothing that a snapshot has compacted', () => {
  const world = new World()
  const reader = world.watch({ where: { key: utf8('b') } })
  puts(world, 40)
  for (let at = 0; at < 10; at++) world.change([['b', `${at}`]])
  // All revisions up to here were applied, and so sent.
  world.compact(world.revision)
  world.install()
  world.settle()
  expect([reader.end, revisions(reader).length]).toEqual([undefined, 10])
  world.judge()
  world.expectRest()
})

test('the same message is encoded once for all who are told it', () => {
  const world = new World()
  const told: EventsMessage[] = []
  let encoded = 0
  const form: MessageForm = {
    head: () => {
      encoded++
      return new Uint8Array()
    },
    event: () => new Uint8Array(),
    tail: new Uint8Array(),
  }
  const ways = [{}, {}, { where: { key: utf8('a') } }, { prev: true }, { only: 'delete' as const }]
  for (const asked of ways) {
    const reader = world.watch(asked)
    const { events } = reader
    reader.events = (message) => {
      told.push(message)
      message.in(form)
      events.call(reader, message)
    }
  }
  world.change([['a', '1']])
  world.apply()
  expect([told.length, new Set(told).size, encoded]).toEqual([4, 2, 2])
  world.change(
    [
      ['a', '2'],
      ['b', '1'],
    ],
    true,
  )
  world.apply()
  // Both events, only that of `a`, and both with the previous records.
  expect([told.length, new Set(told).size, encoded]).toEqual([8, 5, 5])
  world.judge()
})

test.each([
  ['values', 1024 * 1024, 6, 0, true],
  ['values that are not told', 1024 * 1024, 6, 0, false],
  ['keys', 0, 1100, 4000, true],
] as const)(
  'records before are left out beyond a limit, and the first is told: %s',
  (_, valueBytes, count, nameBytes, values) => {
    const store = new MemoryStore()
    store.apply(ask(putOf('k', 'v')))
    const [[, row] = []] = store.rows.sorted.versions
    const [before, hash] = [
      { revision: rev(2), valueBytes },
      { mix: 0, crc: 0 },
    ]
    const deleted = new RevisionEvents(rev(3))
    for (let at = 0; at < count; at++) {
      const key = utf8(
        String(at)
          .padStart(4, '0')
          .padEnd(4 + nameBytes, 'k'),
      )
      deleted.add({ key, revision: rev(3), tombstone: hash, before: { ...before, hash } }, () => row)
    }
    const prevs = deleted.message(deleted.events, { prev: true, values }).prevs()
    const fit = Math.floor(PREV_BYTES_MAX / (nameBytes + 4 + (values ? valueBytes : 0)))
    expect(prevs.map((prev) => prev !== undefined)).toEqual(deleted.events.map((_, at) => at < fit))
  },
)

test('a watch ends at a revision whose keys are too many for one message, and can go on behind it', () => {
  const world = new World({ watchMessageBytesMax: 1000 })
  const [all, live] = [world.watch(), world.watch({ where: { key: utf8('k05') } })]
  const keys = Array.from({ length: 20 }, (_, at) => `k${String(at).padStart(2, '0')}`)
  for (const key of keys) world.change([[key, 'v']])
  world.change(
    keys.map((key) => [key, undefined]),
    true,
  )
  world.change([['k05', 'again']])
  world.apply()
  const { revision } = world
  // 64 bytes for each event, and its key.
  const sizes = { bytes: 20 * (3 + 64), bytesMax: 1000 }
  const tooLarge = { kind: 'too-large', next: revision - 1, resumeFrom: revision, ...sizes }
  expect([all.end, revisions(all).length]).toEqual([tooLarge, 20])
  // Watches that request fewer of its events receive them.
  expect([live.end, revisions(live).length]).toEqual([undefined, 3])
  const again = [world.watch({ from: revision - 2 }), world.watch({ from: revision })]
  world.settle()
  expect(again.map(({ end }) => end)).toEqual([tooLarge, undefined])
  expect(again.map(revisions)).toEqual([[revision - 2], [revision]])
  world.judge()
  world.expectRest()
})

test('a delete of very many keys does not keep the node busy with thousands of watches: most read it later', () => {
  const world = new World({ watchSliceRows: 16 })
  const names = Array.from({ length: 300 }, (_, at) => `k${at + 100}`)
  world.change(names.map((name) => [name, 'v'] as const))
  world.apply()
  const readers = [
    ...names.map((start) => world.watch({ where: { start: utf8(start), end: undefined }, prev: true })),
    ...names.map(() => world.watch({ only: 'put' })),
    world.watch({ where: { key: utf8('k120') } }),
    world.watch({ where: { key: utf8('k399') } }),
    world.watch({ from: world.revision + 2 }),
  ]
  world.deleteRange('k', undefined)
  world.change([['k399', 'again']])
  world.apply()
  const told = readers.reduce(
    (sum, { messages }) =>
      sum + messages.reduce((count, each) => count + (each.kind === 'events' ? each.events.length : 0), 0),
    0,
  )
  expect(told).toBeLessThanOrEqual(50_000)
  expect(world.hub.counts().behind).toBeGreaterThan(300)
  world.settle()
  world.judge()
  for (const reader of readers) reader.judgeComplete()
  world.expectRest()
})

test('a message with very many records before is encoded in several turns, and other watches go on', () => {
  const world = new World({ watchSliceMs: 2 })
  const names = Array.from({ length: 400 }, (_, at) => `k${at + 100}`)
  world.change(names.map((name) => [name, 'v'] as const))
  world.apply()
  const large = [
    world.watch({ prev: true }),
    world.watch({ prev: true, where: { start: utf8('k101'), end: undefined } }),
  ]
  const gone = world.watch({ prev: true, where: { start: utf8('k102'), end: undefined } })
  world.deleteRange('k', undefined)
  world.change([['other', 'v']])
  world.apply()
  const small = world.watch({ from: world.revision, where: { key: utf8('other') } })
  world.readMs = 0.1
  const turns: number[] = []
  let { reads } = world
  world.clock.onTurn = () => {
    if (turns.length === 0) gone.cancel()
    turns.push(world.reads - reads)
    reads = world.reads
  }
  world.clock.advance(0)
  // 2 ms, and what a step of events exceeds them by.
  expect(Math.max(...turns)).toBeLessThan(64)
  expect(turns.length).toBeGreaterThan((2 * 400) / 64)
  expect(revisions(small).length).toBe(1)
  expect(large.map((reader) => revisions(reader).length)).toEqual([2, 2])
  world.settle()
  world.judge()
  world.expectRest()
})

test('a client that takes nothing while its large message is encoded does not keep back those of others', () => {
  const world = new World()
  const names = Array.from({ length: 400 }, (_, at) => `k${at + 100}`)
  world.change(names.map((name) => [name, 'v'] as const))
  world.apply()
  const [slow, other] = [world.watch({ prev: true }, 1), world.watch({ prev: true })]
  world.deleteRange('k', undefined)
  world.apply()
  world.readMs = 0.1
  let turns = 0
  world.clock.onTurn = () => {
    if (++turns === 2) slow.fill()
  }
  world.clock.advance(0)
  expect([slow, other].map((reader) => revisions(reader).length)).toEqual([0, 1])
  expect(world.hub.counts()).toMatchObject({ behind: 0, slow: 1 })
  world.settle()
  expect(revisions(slow).length).toBe(1)
  world.judge()
  world.expectRest()
})

test('a large message at the end of its row of events is followed by the next row', () => {
  const world = new World()
  // Their events fill a row.
  const names = Array.from({ length: 1_000 }, (_, at) => `k${at + 1_000}`)
  world.change(names.map((name) => [name, 'v'] as const))
  world.apply()
  const reader = world.watch({ prev: true })
  world.deleteRange('k', undefined)
  world.change([['other', 'v']])
  world.apply()
  world.readMs = 0.1
  world.clock.advance(0)
  world.settle()
  expect(world.failures).toEqual([])
  expect(revisions(reader).length).toBe(2)
  world.judge()
  world.expectRest()
})

test('a batch of many revisions is told to some hundreds of watches at once, and to the others later', () => {
  const world = new World({ watchSliceRows: 16 })
  const readers = Array.from({ length: 600 }, () => world.watch())
  world.change(Array.from({ length: 100 }, (_, at) => [`k${at}`, 'v'] as const))
  world.apply()
  const told = readers.reduce((sum, { messages }) => sum + messages.length, 0)
  expect(told).toBeLessThanOrEqual(50_000 + readers.length)
  expect(world.hub.counts().behind).toBe(readers.length)
  world.settle()
  world.judge()
  for (const reader of readers) reader.judgeComplete()
  world.expectRest()
})

test('more watches than a node may have are refused', () => {
  const world = new World({ watchesMax: 2 })
  const [first] = [world.watch(), world.watch()]
  expect(() => world.watch()).toThrow('this node has 2 watches already')
  first?.cancel()
  world.watch()
})

test('a row that cannot be read is a failure of the node', () => {
  const world = new World()
  puts(world, 20)
  world.watch({ from: 2 })
  world.node.rows.clear()
  world.clock.advance(0)
  expect(world.failures.map(String)).toEqual([expect.stringContaining('has no row of events')])
})

test('watches that end because an event cannot be read say exactly how far they were told', () => {
  const world = new World()
  const readers = Array.from({ length: 5 }, (_, at) => world.watch({ prev: at % 2 === 0 }))
  const before = world.watch({ where: { key: utf8('a') } })
  const later = world.watch({ from: 10 })
  const broken = readers[2]
  const events = broken?.events.bind(broken)
  if (broken !== undefined)
    broken.events = (message) => {
      if (message.revision === 3) throw new Error('the checksum of a row does not hold')
      events?.(message)
    }
  world.change([
    ['a', '1'],
    ['b', '2'],
    ['c', '3'],
  ])
  expect(() => world.apply()).toThrow('checksum')
  world.hub.endAll('the node ends')
  world.judge()
  expect(broken?.end).toMatchObject({ resumeFrom: 3 })
  expect([before.end, later.end]).toMatchObject([{ resumeFrom: 3 }, { resumeFrom: 10 }])
  const told = readers.map(({ messages }) => messages.length)
  expect(readers.map(({ end }) => end)).toMatchObject(told.map((count) => ({ resumeFrom: 2 + count })))
})

/** Watches that all ask for their right when rights are changed. */
function watchesWithRights(world: World, count: number) {
  const asked: number[] = []
  const ended = new Set<number>()
  const readers = Array.from({ length: count }, (_, at) =>
    world.watch({
      right: () => {
        asked.push(at)
        return ended.has(at) ? 'ended' : 'held'
      },
    }),
  )
  return { asked, ended, readers }
}

test('when rights change, some watches are checked at once, and all before the next entry', () => {
  const world = new World()
  const { asked, ended, readers } = watchesWithRights(world, 500)
  ended.add(3).add(499)
  const { state } = world.node
  const steps = world.hub.applied({ ...state, auth: { enabled: true, revision: 2 } })
  expect(asked).toHaveLength(64)
  expect(readers.flatMap(({ end }) => end?.kind ?? [])).toEqual(['no-right'])
  readers[400]?.cancel()
  expect(steps && runSteps(steps)).toBeUndefined()
  expect(asked).toEqual([...readers.keys()].filter((at) => at !== 400))
  expect(readers.flatMap(({ end }, at) => (end === undefined ? [] : [[at, end.kind]]))).toEqual([
    [3, 'no-right'],
    [499, 'no-right'],
  ])
  world.expectRest()
})

test('a change of rights that raises the revision too is announced to those who keep their rights', () => {
  const world = new World()
  const { ended, readers } = watchesWithRights(world, 2)
  ended.add(0)
  world.change([['a', '1']])
  world.node.apply(ask(putOf('a', '1')))
  const steps = world.hub.applied({ ...world.node.state, auth: { enabled: true, revision: 2 } })
  if (steps !== undefined) runSteps(steps)
  expect(readers.map(revisions)).toEqual([[], [2]])
})

test('a watch says once that it has ended, however it ends', () => {
  const world = new World()
  const closed: string[] = []
  let right: 'held' | 'ended' | 'no-user' = 'held'
  const note = (name: string) => ({ right: () => right, closed: () => void closed.push(name) })
  const cancelled = world.watch(note('cancelled'))
  cancelled.cancel()
  cancelled.cancel()
  expect(closed).toEqual(['cancelled'])
  const refused = world.watch(note('refused'))
  right = 'no-user'
  world.hub.applied({ ...world.node.state, auth: { enabled: true, revision: 2 } })
  expect([refused.end?.kind, closed]).toEqual(['no-user', ['cancelled', 'refused']])
})

test('after a snapshot a watch is checked before it reads on', () => {
  const world = new World()
  const { asked, ended, readers } = watchesWithRights(world, 300)
  const full = world.watch({ right: () => (ended.has(0) ? 'ended' : 'held') }, 1)
  world.change([['a', '1']])
  world.apply()
  world.change([['a', '2']])
  world.apply()
  expect(world.hub.counts().slow).toBe(1)
  world.change([['a', '3']])
  ended.add(0)
  world.install()
  expect(asked).toEqual([])
  // Entries that follow the snapshot at once.
  world.change([['a', '4']])
  world.apply()
  world.settle()
  expect(asked.toSorted((a, b) => a - b)).toEqual([...readers.keys()])
  expect([readers[0]?.end, full.end]).toMatchObject([
    { kind: 'no-right', resumeFrom: 4 },
    { kind: 'no-right' },
  ])
  expect([readers[0], readers[1], full].map((reader) => reader && revisions(reader))).toEqual([
    [2, 3],
    [2, 3, 4, 5],
    [2],
  ])
  world.judge()
  world.expectRest()
})

test('watches that end together end in parts, and each of them once', () => {
  const world = new World()
  const readers = Array.from({ length: 200 }, () => world.watch())
  const counts: number[] = []
  const count = (): number => readers.filter(({ end }) => end !== undefined).length
  world.clock.onTurn = () => counts.push(count())
  let isDone = false
  world.hub.endEach('no-leader', 'no leader', () => {
    isDone = true
  })
  expect([count(), isDone, world.hub.inspect().ending]).toEqual([64, false, 136])
  // One begins meanwhile, one is cancelled, and the node stops.
  const later = world.watch()
  readers[199]?.cancel()
  world.hub.endAll('this node stops')
  expect(later.end?.kind).toBe('stopped')
  expect(() => world.watch()).toThrow('this node stops')
  world.clock.advance(0)
  expect(counts).toEqual([128, 192, 199])
  expect(isDone).toBe(true)
  expect(readers.slice(0, 199).map(({ end }) => end?.kind)).toEqual(Array(199).fill('no-leader'))
  world.expectRest()
})

test('thousands of watches that are due together are told their progress in parts', () => {
  const world = new World({ watchesMax: 2000 })
  const readers = Array.from({ length: 1200 }, () => world.watch({ progressMs: 1000 }))
  const received = (): number => readers.reduce((sum, reader) => sum + progresses(reader).length, 0)
  const perTurn: number[] = []
  let before = 0
  world.clock.onTurn = () => {
    perTurn.push(received() - before)
    before = received()
  }
  world.clock.advance(1000)
  expect(received()).toBe(1200)
  // The first part in the turn of the timer.
  expect(perTurn).toEqual([1024, 176])
  world.clock.onTurn = undefined
  for (const reader of readers.slice(1)) reader.cancel()
  world.clock.advance(1000)
  expect(received()).toBe(1201)
  world.expectRest()
})
