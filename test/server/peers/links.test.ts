// The links alone, through all breaks of connections and restarts of processes: retries, released resources, and the
// guarantees to the core.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { asIndex, asTerm } from '../../../src/raft/types.ts'
import type { SnapshotSink, SnapshotSource } from '../../../src/storage/types.ts'
import { runs } from '../../runs.ts'
import { Ledger } from './ledger.ts'
import { type Node, World } from './world.ts'

const TERM = asTerm(5)

function sourceOf(count: number): SnapshotSource {
  const applied = { index: asIndex(40), term: asTerm(4), raft: new Uint8Array(), kv: new Uint8Array() }
  return {
    id: `s${count}`,
    meta: { index: asIndex(40), term: asTerm(4), applied, stateHash: 1n },
    read: (number, done) => done(undefined, number < count ? Uint8Array.of(number) : undefined),
    close: () => {},
  }
}

/** The sink of all offered snapshots. A write takes `writeMs`. */
class Sink implements SnapshotSink {
  readonly written: number[] = []
  finished = 0
  fails: Error | undefined
  readonly #world: World
  readonly #writeMs: number

  constructor(node: Node, writeMs = 1) {
    this.#world = node.world
    this.#writeMs = writeMs
    node.snapshotOffered = (_from, _term, _id, _meta, done) => done(undefined, this)
  }

  get nextChunk(): number {
    return this.written.length
  }

  write(number: number, _chunk: Uint8Array, done: (error: Error | undefined) => void): void {
    this.#world.after(this.#writeMs, () => {
      if (this.fails === undefined) this.written.push(number)
      done(this.fails)
    })
  }

  finish(done: (error: Error | undefined) => void): void {
    this.#world.after(this.#writeMs, () => {
      this.finished++
      done(this.fails)
    })
  }

  abort(): void {}
}

/** Two nodes, connected. */
function pair(limits: ConstructorParameters<typeof World>[0] = {}): { world: World; a: Node; b: Node } {
  const world = new World(limits)
  const [a, b] = [world.start(1), world.start(2)]
  world.meet(a, b)
  world.pass(20)
  expect([a.of('connected').length, b.of('connected').length, a.underWay, b.underWay]).toEqual([1, 1, {}, {}])
  return { world, a, b }
}

describe('what is tried again', () => {
  test('a peer that is away is called for as long as that lasts, and is refused once', () => {
    const { world, a, b } = pair({ reconnectMaxMs: 100 })
    let peer = b
    for (let boot = 2; boot < 6; boot++) {
      world.stop(peer)
      world.pass(5_000)
      expect(a.of('unreachable')).toHaveLength(boot - 1)
      expect(a.underWay).toMatchObject({ 'broken of 2': 1 })
      // It does not dial on its own.
      peer = world.start(2, boot)
      peer.links.setPeers([])
      world.pass(100 + 20)
      expect(a.of('connected')).toHaveLength(boot)
      expect(a.underWay).toEqual({})
    }
  })

  test('a peer that is back in time is not called refused, however often its connections break', () => {
    const { world, a, b } = pair({ refusedAfterMs: 20 })
    let peer = b
    for (let boot = 2; boot < 6; boot++) {
      world.stop(peer)
      world.pass(10)
      // It was unreachable in the last ten milliseconds.
      expect(a.underWay).toMatchObject({ 'failures of 2': expect.any(Number) })
      peer = world.start(2, boot)
      peer.links.setPeers([a.member])
      world.pass(200)
      expect([a.of('unreachable').length, a.of('connected').length, a.underWay]).toEqual([0, boot, {}])
    }
    world.stop(peer)
    world.pass(19)
    expect(a.of('unreachable')).toEqual([])
    world.pass(20)
    expect(a.of('unreachable')).toHaveLength(1)
  })

  test('a peer that calls, or is named at another address, is called at once, however long the pause would last', () => {
    const { world, a, b } = pair({ reconnectMinMs: 10_000, reconnectMaxMs: 10_000 })
    world.stop(b)
    world.pass(20)
    const back = world.start(2, 2)
    back.links.setPeers([a.member])
    world.pass(20)
    expect(a.of('connected')).toHaveLength(2)
    // Reached at the configured address, without a separate call.
    const c = world.start(3)
    c.links.setPeers([])
    a.links.setPeers([back.member, { ...c.member, peer: 'nowhere' }])
    world.pass(20)
    expect(a.underWay).toMatchObject({ 'retrying of 3': 1 })
    a.links.setPeers([back.member, c.member])
    world.pass(20)
    expect([c.of('connected').length, a.underWay]).toEqual([1, {}])
  })

  test('a snapshot goes where its receiver was reached, whatever the configuration says', () => {
    const world = new World()
    const [a, b] = [world.start(1), world.start(2)]
    new Sink(b)
    a.links.setPeers([{ ...b.member, peer: 'nowhere' }])
    b.links.setPeers([a.member])
    world.pass(100)
    expect(a.of('connected')).toHaveLength(1)
    a.links.sendSnapshot(b.member.id, TERM, sourceOf(3))
    world.pass(100)
    expect(a.of('sent')).toEqual([{ kind: 'sent', ok: true }])
  })

  test('a peer that nobody has named is not called any more when it has gone', () => {
    const world = new World({ reconnectMaxMs: 20 })
    const [a, b] = [world.start(1), world.start(2)]
    a.links.setPeers([])
    b.links.setPeers([a.member])
    world.pass(20)
    expect(a.of('connected')).toHaveLength(1)
    world.stop(b)
    world.pass(100)
    const back = world.start(2, 2)
    back.links.setPeers([])
    world.pass(100)
    expect(back.wires.size).toBe(0)
  })

  test('a peer that is removed while it is being called is called no more', () => {
    const world = new World({ reconnectMaxMs: 20 })
    const a = world.start(1)
    const away = world.start(2)
    world.stop(away)
    a.links.setPeers([away.member])
    // Each call takes a while, and the next one follows soon, so the peer is removed during a call.
    for (let ms = 0; ms < 100; ms++) {
      world.pass(1)
      a.links.setPeers([])
      const back = world.start(2, ms + 2)
      back.links.setPeers([])
      world.pass(100)
      expect(back.wires.size).toBe(0)
      world.stop(back)
      a.links.setPeers([away.member])
      world.pass(ms % 7)
    }
  })

  test('a transfer takes as long as it needs while chunks are written', () => {
    const { world, a, b } = pair({ snapshotStallMs: 50 })
    const sink = new Sink(b, 20)
    a.links.sendSnapshot(b.member.id, TERM, sourceOf(20))
    world.pass(1000)
    expect([a.of('sent'), sink.finished]).toEqual([[{ kind: 'sent', ok: true }], 1])
  })

  test('a transfer that failed can be made again, as often as one likes', () => {
    const { world, a, b } = pair()
    const sink = new Sink(b)
    for (const fails of [new Error('no'), new Error('no'), undefined]) {
      sink.fails = fails
      a.links.sendSnapshot(b.member.id, TERM, sourceOf(3))
      world.pass(100)
      expect(a.of('sent').at(-1)).toEqual({ kind: 'sent', ok: fails === undefined })
      expect([a.underWay, b.underWay]).toEqual([{}, {}])
    }
  })

  test.each([1, 2, 4])(
    'a chunk that was read for a connection that broke is not counted, with %i in flight',
    (inflight) => {
      for (let ms = 0; ms < 40; ms++) {
        const { world, a, b } = pair({ snapshotChunksInflightMax: inflight, reconnectMaxMs: 3 })
        const sink = new Sink(b)
        const source = sourceOf(5)
        const read: SnapshotSource['read'] = (number, done) =>
          void world.after(10, () => source.read(number, done))
        a.links.sendSnapshot(b.member.id, TERM, { ...source, read })
        world.pass(ms)
        world.breaks(a, b)
        world.pass(1000)
        expect([ms, a.of('sent'), sink.finished, a.underWay]).toEqual([
          ms,
          [{ kind: 'sent', ok: true }],
          1,
          {},
        ])
      }
    },
  )

  test.each([1, 2, 4])('a transfer goes on after each break with %i chunks in flight', (inflight) => {
    const { world, a, b } = pair({ snapshotChunksInflightMax: inflight, reconnectMaxMs: 20 })
    const sink = new Sink(b, 5)
    a.links.sendSnapshot(b.member.id, TERM, sourceOf(20))
    for (let broken = 0; broken < 5; broken++) {
      while (a.links.inspect().chunksInFlight !== inflight) world.pass(1)
      world.breaks(a, b)
      world.pass(10)
      expect(a.links.inspect().chunksInFlight).toBe(0)
      world.pass(30)
    }
    // Far less than the time limit of a transfer without progress.
    world.pass(1000)
    expect(a.of('sent')).toEqual([{ kind: 'sent', ok: true }])
    expect(sink.written).toEqual(Array.from({ length: 20 }, (_, number) => number))
    expect([a.underWay, b.underWay]).toEqual([{}, {}])
  })

  test('a transfer that goes on takes the place of the one before it, of which the receiver has not heard that it broke', () => {
    const { world, a, b } = pair({ reconnectMaxMs: 20 })
    const sink = new Sink(b, 5)
    a.links.sendSnapshot(b.member.id, TERM, sourceOf(20))
    while (sink.written.length < 3) world.pass(1)
    world.breaks(a, b, 'dialled', 'this')
    world.pass(1000)
    expect([a.of('sent'), sink.finished]).toEqual([[{ kind: 'sent', ok: true }], 1])
    expect([a.underWay, b.underWay]).toEqual([{}, {}])
  })

  test('a transfer whose connection breaks when all that is left to say is that it is staged is offered again, with the link or without', () => {
    for (const which of ['called', 'all'] as const) {
      const { world, a, b } = pair({ reconnectMaxMs: 20 })
      const sink = new Sink(b)
      world.onFrame = (from, { type }) => {
        if (type === 'snapshot-staged' && sink.finished === 1) world.breaks(from, a, which)
      }
      a.links.sendSnapshot(b.member.id, TERM, sourceOf(3))
      world.pass(1000)
      expect([sink.finished, b.of('received').length]).toEqual([2, 2])
      expect(a.of('sent')).toEqual([{ kind: 'sent', ok: true }])
      expect([a.underWay, b.underWay]).toEqual([{}, {}])
    }
  })
})

describe('what the core is promised', () => {
  const say = (from: Node, to: Node, round: number): void => {
    from.links.send({
      ...{ type: 'heartbeat', from: from.member.id, to: to.member.id, term: from.greeting.term },
      ...{ commit: asIndex(from.greeting.boot), round, confirmed: undefined, appliedByMajority: asIndex(0) },
    })
  }

  test.each(['dialled', 'called'] as const)(
    'nothing is heard while the connection that was %s is down',
    (which) => {
      const { world, a, b } = pair()
      const ledger = new Ledger(a)
      world.breaks(a, b, which)
      for (let round = 1; round <= 100; round++) {
        say(b, a, round)
        world.pass(1)
      }
      ledger.check()
      expect(a.of('connected')).toHaveLength(2)
      expect(a.of('message').length).toBeGreaterThan(50)
    },
  )

  test('nothing is said after close, whatever is under way', () => {
    for (let ms = 0; ms < 60; ms++) {
      for (const closes of [0, 1]) {
        const { world, a, b } = pair()
        new Sink(b, 3)
        a.links.sendSnapshot(b.member.id, TERM, sourceOf(3))
        world.pass(ms)
        const node = [a, b][closes]
        const before = node?.events.length
        node?.links.close()
        world.pass(200)
        expect(node?.events.length).toBe(before)
      }
    }
  })

  test('a node that is closed by the first of several callers leaves none of them behind', () => {
    const world = new World()
    const b = world.start(2)
    const callers = [1, 3, 4].map((id) => world.start(id))
    for (const caller of callers) caller.links.setPeers([b.member])
    world.pass(20)
    expect(b.links.inspect()).toMatchObject({ unidentified: 3 })
    b.admit = () => {
      b.links.close()
      return undefined
    }
    world.meet(b)
    world.pass(20)
    expect(b.underWay).toEqual({})
    expect(b.events).toEqual([])
  })

  const IDS = [1, 2, 3]
  const step = fc.record({
    what: fc.constantFrom(
      'talk',
      'talk',
      'talk',
      'breaks',
      'restarts',
      'term',
      'snapshot',
      'removes',
      'adds',
    ),
    one: fc.nat(2),
    two: fc.nat(2),
    which: fc.constantFrom('dialled', 'called', 'all'),
    ms: fc.oneof(fc.nat(3), fc.nat(60)),
  })
  const limits = fc.record({
    snapshotChunksInflightMax: fc.integer({ min: 1, max: 4 }),
    reconnectMaxMs: fc.integer({ min: 5, max: 50 }),
    refusedAfterMs: fc.constantFrom(1, 20),
    unidentifiedMax: fc.constantFrom(2, 64),
  })

  test('holds whatever happens, and at rest everything is given back', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), limits, (steps, drawn) => {
        const world = new World(drawn)
        const boots = [1, 1, 1]
        const nodes = IDS.map((id) => world.start(id))
        const ledgers = nodes.map((node) => new Ledger(node))
        for (const node of nodes) new Sink(node)
        world.meet(...nodes)
        // The configuration that each of them has.
        const configurations = IDS.map(() => new Set(IDS.keys()))
        const configure = (at: number): void => {
          const isMember = (_: Node, id: number) => configurations[at]?.has(id) === true
          nodes[at]?.links.setPeers(nodes.filter(isMember).map(({ member }) => member))
        }
        let round = 0
        const talk = (): void => {
          for (const from of nodes)
            for (const to of nodes) {
              if (to !== from) say(from, to, ++round)
            }
        }
        for (const { what, one, two, which, ms } of steps) {
          const [a, b] = [nodes[one], nodes[two]]
          if (a === undefined || b === undefined) continue
          if (what === 'talk') talk()
          else if (what === 'breaks') world.breaks(a, b, which)
          else if (what === 'term') a.greeting = { ...a.greeting, term: asTerm(a.greeting.term + 1) }
          else if (what === 'adds') {
            configurations[one]?.add(two)
            configure(one)
          } else if (what === 'removes' && a !== b) {
            if (configurations[one]?.delete(two)) ledgers[one]?.remove(b.member.id)
            configure(one)
          } else if (what === 'snapshot' && a !== b) a.links.sendSnapshot(b.member.id, TERM, sourceOf(5))
          else if (what === 'restarts') {
            const { term } = a.greeting
            world.stop(a)
            ledgers[one]?.check()
            boots[one] = (boots[one] ?? 0) + 1
            const node = world.start(one + 1, boots[one])
            node.greeting = { ...node.greeting, term }
            nodes[one] = node
            ledgers[one] = new Ledger(node)
            new Sink(node)
            configure(one)
          }
          world.pass(ms)
          for (const ledger of ledgers) ledger.check()
        }
        world.meet(...nodes)
        world.pass(5000)
        const before = nodes.map(({ events }) => events.length)
        talk()
        world.pass(100)
        for (const [at, node] of nodes.entries()) {
          expect(node.events.slice(before[at]).map(({ kind }) => kind)).toEqual(['message', 'message'])
          expect(node.underWay).toEqual({})
          ledgers[at]?.check()
        }
      }),
      { numRuns: runs(300) },
    )
  })
})
