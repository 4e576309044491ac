// Snapshots from one node to another, with a puppet at the other end: the frames of each side, the release of
// resources, and the time limits.

import { describe, expect, test } from 'vitest'
import { asIndex, asReplicaId, asTerm } from '../../../src/raft/types.ts'
import type { Frame, SnapshotOffer } from '../../../src/server/peers/wires.ts'
import type { SnapshotSink, SnapshotSource } from '../../../src/storage/types.ts'
import { type Node, type Puppet, type Talk, World } from './world.ts'

const TERM = asTerm(5)
const applied = { index: asIndex(40), term: asTerm(4), raft: new Uint8Array(), kv: new Uint8Array() }
const META: SnapshotSource['meta'] = { index: asIndex(40), term: asTerm(4), applied, stateHash: 1n }

describe('the sender', () => {
  /** A source whose chunks are their numbers. The test completes each read, or they complete at once. */
  class Source implements SnapshotSource {
    readonly id = 's'
    readonly meta = META
    readonly pending: (() => void)[] = []
    atOnce = true
    closed = 0
    fails: Error | undefined
    readonly #count: number

    constructor(count: number) {
      this.#count = count
    }

    read(number: number, done: Parameters<SnapshotSource['read']>[1]): void {
      expect(this.closed).toBe(0)
      const run = (): void => done(this.fails, number < this.#count ? Uint8Array.of(number) : undefined)
      if (this.atOnce) run()
      else this.pending.push(run)
    }

    close(): void {
      this.closed++
    }
  }

  interface Sending {
    readonly world: World
    readonly node: Node
    readonly puppet: Puppet
    readonly source: Source
    readonly ended: object[]
    /** The connections of the transfer. */
    readonly talks: readonly Talk[]
  }

  /** A node that sends a snapshot to a puppet, which has received the offer. */
  function sending(count: number, limits: ConstructorParameters<typeof World>[0] = {}): Sending {
    const world = new World(limits)
    const node = world.start(1)
    const puppet = world.puppet(2)
    node.links.setPeers([puppet.member])
    world.pass(10)
    const source = new Source(count)
    const before = puppet.talks.length
    node.links.sendSnapshot(puppet.member.id, TERM, source)
    expect(node.links.inspect().transfers).toBe(1)
    world.pass(10)
    return {
      ...{ world, node, puppet, source },
      get ended() {
        return node.why('a snapshot transfer ended')
      },
      get talks() {
        return puppet.talks.slice(before)
      },
    }
  }

  const said = (talk: Talk | undefined): Frame[] => talk?.heard.slice(1) ?? []
  const chunk = (number: number): Frame => ({ type: 'snapshot-chunk', number, bytes: Uint8Array.of(number) })
  const OFFER: Frame = { type: 'snapshot-offer', term: TERM, snapshotId: 's', meta: META }

  /** Asserts that all resources are released, and that the caller was notified of the result. */
  function expectEnd(all: Sending, ok: boolean, why: string): void {
    const { world, node, source } = all
    world.pass(10)
    expect([node.of('sent'), source.closed]).toEqual([[{ kind: 'sent', ok }], 1])
    expect(all.ended).toEqual([{ to: 'n2', index: 40, ok, why }])
    expect(node.links.inspect()).toMatchObject({ transfers: 0, chunksInFlight: 0 })
    world.pass(100_000)
    expect([node.of('sent').length, source.closed]).toEqual([1, 1])
  }

  test('offers it, sends chunks as far as they are written, says that it is at its end, and is done when it is staged', () => {
    const all = sending(5, { snapshotChunksInflightMax: 2 })
    const { world, node, talks, source } = all
    const [talk] = talks
    expect(talk?.heard[0]).toMatchObject({ type: 'hello', purpose: 'snapshot', target: '2' })
    expect(said(talk)).toEqual([OFFER])
    talk?.say({ type: 'snapshot-accept', nextChunk: 1 })
    world.pass(10)
    expect(said(talk)).toEqual([OFFER, chunk(1), chunk(2)])
    expect(node.links.inspect()).toMatchObject({ transfers: 1, chunksInFlight: 2 })
    talk?.say({ type: 'snapshot-written', number: 1 })
    world.pass(10)
    expect(said(talk).slice(3)).toEqual([chunk(3)])
    talk?.say({ type: 'snapshot-written', number: 2 }, { type: 'snapshot-written', number: 3 })
    world.pass(10)
    expect(said(talk).slice(4)).toEqual([chunk(4), { type: 'snapshot-end', chunks: 5 }])
    expect(node.links.inspect().chunksInFlight).toBe(1)
    talk?.say({ type: 'snapshot-written', number: 4 })
    world.pass(10)
    expect([said(talk).length, source.closed, node.links.inspect().chunksInFlight]).toEqual([6, 0, 0])
    talk?.say({ type: 'snapshot-staged' })
    expectEnd(all, true, 'staged')
    expect(talk?.ended).toBe('the other side closed it')
  })

  test('ends when it is refused, and says why', () => {
    const all = sending(1)
    all.talks[0]?.say({ type: 'refusal', clusterId: '77', stop: false, sentence: 'no room' })
    expectEnd(all, false, 'no room')
    expect(all.talks[0]?.ended).toBe('the other side closed it')
  })

  test('ends when a chunk cannot be read', () => {
    const all = sending(1)
    all.source.fails = new Error('EIO')
    all.talks[0]?.say({ type: 'snapshot-accept', nextChunk: 0 })
    expectEnd(all, false, 'EIO')
  })

  test('ends when its term is over, not before', () => {
    const all = sending(9, { snapshotChunksInflightMax: 1 })
    const { node, world } = all
    node.greeting = { ...node.greeting, term: TERM }
    all.talks[0]?.say({ type: 'snapshot-accept', nextChunk: 0 })
    world.pass(10)
    expect(said(all.talks[0])).toEqual([OFFER, chunk(0)])
    node.greeting = { ...node.greeting, term: asTerm(6) }
    all.talks[0]?.say({ type: 'snapshot-written', number: 0 })
    expectEnd(all, false, 'term 5 is over')
  })

  test('ends when no chunk was written for so long, whatever else is said', () => {
    const all = sending(9, { snapshotStallMs: 100, snapshotChunksInflightMax: 1 })
    const { world, node } = all
    // Ten milliseconds of the time limit have already passed.
    world.pass(80)
    all.talks[0]?.say({ type: 'snapshot-accept', nextChunk: 0 })
    world.pass(5)
    all.talks[0]?.say({ type: 'snapshot-written', number: 0 })
    world.pass(85)
    all.talks[0]?.say({ type: 'snapshot-accept', nextChunk: 1 })
    world.pass(10)
    expect(node.of('sent')).toEqual([])
    world.pass(6)
    expectEnd(all, false, 'no progress')
  })

  test('ends when the peer is one no more', () => {
    const all = sending(9)
    all.node.links.setPeers([])
    all.world.pass(10)
    expect(all.ended).toEqual([{ to: '2', index: 40, ok: false, why: 'it is no peer any more' }])
    expect([all.source.closed, all.node.of('sent')]).toEqual([1, [{ kind: 'sent', ok: false }]])
  })

  test('ends with the node, without a word, and its source is closed when nothing reads it any more', () => {
    for (const isReading of [false, true]) {
      const { world, node, source, talks } = sending(9)
      source.atOnce = false
      if (isReading) {
        talks[0]?.say({ type: 'snapshot-accept', nextChunk: 0 })
        world.pass(10)
        expect(source.pending).toHaveLength(1)
      }
      node.links.close()
      node.links.close()
      expect(source.closed).toBe(isReading ? 0 : 1)
      for (const run of source.pending) run()
      world.pass(100_000)
      expect([source.closed, node.of('sent'), talks[0]?.ended]).toEqual([1, [], 'the other side closed it'])
      expect(said(talks[0])).toEqual([OFFER])
    }
  })

  test('what was read for a place from where the receiver does not go on is not sent', () => {
    const { world, source, talks } = sending(9, { snapshotChunksInflightMax: 1 })
    source.atOnce = false
    talks[0]?.say({ type: 'snapshot-accept', nextChunk: 0 })
    world.pass(10)
    talks[0]?.say({ type: 'snapshot-accept', nextChunk: 3 })
    world.pass(10)
    source.atOnce = true
    for (const run of source.pending) run()
    world.pass(10)
    expect(said(talks[0])).toEqual([OFFER, chunk(3)])
  })

  test('a connection on which something else is said is ended, and another one made after a pause', () => {
    const { world, node, talks, puppet, source } = sending(3, { reconnectMaxMs: 50 })
    talks[0]?.say({ type: 'snapshot-accept', nextChunk: 0 }, { type: 'unknown', code: 200 })
    world.pass(40)
    expect(talks[0]?.ended).toBe('the other side closed it')
    expect(node.links.inspect()).toMatchObject({ transfers: 1, chunksInFlight: 0 })
    world.pass(20)
    const again = puppet.talks.at(-1)
    expect(said(again)).toEqual([OFFER])
    again?.say({ type: 'snapshot-accept', nextChunk: 2 })
    world.pass(10)
    expect(said(again)).toEqual([OFFER, chunk(2), { type: 'snapshot-end', chunks: 3 }])
    expect([node.of('sent'), source.closed]).toEqual([[], 0])
  })

  test('a transfer whose receiver is reached at another address continues there', () => {
    const { world, node, puppet, talks } = sending(3, { reconnectMaxMs: 50 })
    const moved = world.puppet(3)
    moved.greeting = { ...puppet.greeting, peer: 'n3' }
    node.links.setPeers([{ ...puppet.member, peer: 'n3' }])
    const before = puppet.talks.length
    for (const talk of [...puppet.talks, ...talks]) talk.wire?.close('no more')
    world.pass(100)
    expect(puppet.talks).toHaveLength(before)
    expect(moved.talks.map(({ heard }) => heard.at(-1)?.type)).toEqual(['hello', 'snapshot-offer'])
  })

  test('one at a time goes to a peer, and none to others: that is said later, and the source is closed', () => {
    const { world, node, puppet, source, talks } = sending(1)
    for (const [to, name, why] of [
      [puppet.member.id, 'n2', 'one is being sent already'],
      [asReplicaId('404'), '404', 'it is no peer'],
    ] as const) {
      const other = new Source(1)
      const before = node.of('sent').length
      node.links.sendSnapshot(to, TERM, other)
      expect([other.closed, node.of('sent').length]).toEqual([1, before])
      world.pass(10)
      expect(node.of('sent').slice(before)).toEqual([{ kind: 'sent', ok: false }])
      expect(node.why('a snapshot transfer ended').at(-1)).toEqual({ to: name, index: 40, ok: false, why })
    }
    expect([source.closed, talks.length, talks[0]?.ended]).toEqual([0, 1, undefined])
  })
})

describe('the receiver', () => {
  /** A sink that does one operation at a time. The test completes each with a result. */
  class Sink implements SnapshotSink {
    nextChunk = 0
    readonly written: string[] = []
    aborted = 0
    under: ((error?: Error) => void) | undefined

    #begin(done: (error: Error | undefined) => void): void {
      expect(this.under).toBeUndefined()
      this.under = (error) => {
        this.under = undefined
        done(error)
      }
    }

    write(number: number, bytes: Uint8Array, done: (error: Error | undefined) => void): void {
      this.written.push(`${number}: ${bytes.join()}`)
      this.#begin(done)
    }

    finish(done: (error: Error | undefined) => void): void {
      this.written.push('finish')
      this.#begin(done)
    }

    abort(): void {
      this.aborted++
    }
  }

  const offer = (snapshotId = 's', term = TERM): SnapshotOffer => ({
    ...{ type: 'snapshot-offer', term, snapshotId, meta: META },
  })
  const chunk = (number: number): Frame => ({ type: 'snapshot-chunk', number, bytes: Uint8Array.of(number) })

  /** A node that receives the offered snapshots into the sinks of the test. */
  function receiving(limits: ConstructorParameters<typeof World>[0] = {}) {
    const world = new World(limits)
    const node = world.start(1)
    const puppet = world.puppet(2)
    node.links.setPeers([])
    const offers: { readonly id: string; give(sink: SnapshotSink | string | undefined): void }[] = []
    node.snapshotOffered = (_from, _term, id, _meta, done) => {
      offers.push({
        id,
        give: (sink) => (typeof sink === 'object' ? done(undefined, sink) : done(sink, undefined)),
      })
    }
    let attempt = 0
    const call = (...first: readonly Frame[]): Talk => {
      const talk = puppet.call(node, [puppet.hello({ purpose: 'snapshot', attempt: ++attempt }), ...first])
      world.pass(5)
      return talk
    }
    const ended = (): unknown[] => node.why('a connection for a snapshot ended')
    /** Completes the operation in progress. */
    const ends = (sink: Sink, error?: Error): void => {
      sink.under?.(error)
      world.pass(5)
    }
    return { world, node, puppet, offers, call, ended, ends }
  }
  const said = ({ heard }: Talk): Frame[] => heard.slice(1)
  const refusal = (sentence: string): Frame => ({ type: 'refusal', clusterId: '77', stop: false, sentence })

  test('writes chunk after chunk, says of each that it is written, and of the whole that it is staged', () => {
    const { world, node, offers, call, ended, ends } = receiving()
    const talk = call()
    expect(node.links.inspect().receiving).toBe(1)
    talk.say(offer())
    world.pass(5)
    expect([said(talk), node.links.inspect().receiving]).toEqual([[], 1])
    const sink = new Sink()
    sink.nextChunk = 7
    offers[0]?.give(sink)
    world.pass(5)
    expect(said(talk)).toEqual([{ type: 'snapshot-accept', nextChunk: 7 }])
    talk.say(chunk(7), chunk(8), { type: 'snapshot-end', chunks: 9 })
    world.pass(5)
    expect([sink.written, said(talk).length]).toEqual([['7: 7'], 1])
    ends(sink)
    expect([sink.written, said(talk).slice(1)]).toEqual([
      ['7: 7', '8: 8'],
      [{ type: 'snapshot-written', number: 7 }],
    ])
    ends(sink)
    expect([sink.written, said(talk).slice(2)]).toEqual([
      ['7: 7', '8: 8', 'finish'],
      [{ type: 'snapshot-written', number: 8 }],
    ])
    expect(node.of('received')).toEqual([])
    ends(sink)
    expect(said(talk).slice(3)).toEqual([{ type: 'snapshot-staged' }])
    expect(node.of('received')).toEqual([{ kind: 'received', snapshotId: 's' }])
    expect([sink.aborted, ended()]).toEqual([0, []])
    // A snapshot is complete only once.
    talk.say({ type: 'snapshot-end', chunks: 9 })
    world.pass(5)
    expect(ended()).toEqual([
      { from: '2', why: 'a frame of type snapshot-end out of turn in a snapshot transfer' },
    ])
    expect([sink.written.length, node.of('received').length, node.links.inspect().receiving]).toEqual([
      3, 1, 0,
    ])
  })

  test('what comes instead of an offer, or out of turn, ends the connection', () => {
    const none = receiving()
    const first = none.call(chunk(0))
    expect([first.ended, none.ended(), none.offers]).toEqual([
      'the other side closed it',
      [{ from: '2', why: 'a frame of type snapshot-chunk instead of an offer' }],
      [],
    ])
    expect(none.node.links.inspect().receiving).toBe(0)
    const END: Frame = { type: 'snapshot-end', chunks: 1 }
    const wrong: [string, readonly Frame[], isBegun: boolean][] = [
      ['snapshot-chunk', [chunk(0)], false],
      ['snapshot-end', [END], false],
      ['snapshot-chunk', [END, chunk(0)], true],
      ['snapshot-end', [END, END], true],
      ['snapshot-offer', [offer()], true],
      ['snapshot-chunk', [chunk(0), chunk(1), chunk(2)], true],
    ]
    for (const [type, frames, isBegun] of wrong) {
      const { node, offers, call, ended, world } = receiving({ snapshotChunksInflightMax: 2 })
      const talk = call(offer())
      const sink = new Sink()
      if (isBegun) offers[0]?.give(sink)
      talk.say(...frames)
      world.pass(1)
      expect(ended()).toEqual([
        { from: '2', why: `a frame of type ${type} out of turn in a snapshot transfer` },
      ])
      expect(node.links.inspect().receiving).toBe(0)
      world.pass(5)
      expect(talk.ended).toBe('the other side closed it')
    }
  })

  test('as many chunks as may be under way wait for the one that is written', () => {
    const { offers, call, world, ends } = receiving({ snapshotChunksInflightMax: 2 })
    const talk = call(offer())
    const sink = new Sink()
    offers[0]?.give(sink)
    talk.say(chunk(0), chunk(1))
    world.pass(5)
    ends(sink)
    talk.say(chunk(2))
    world.pass(5)
    ends(sink)
    ends(sink)
    expect([sink.written, talk.ended]).toEqual([['0: 0', '1: 1', '2: 2'], undefined])
  })

  test('why it is not taken is said', () => {
    for (const [refuse, sentence] of [
      ['the disk is full', 'the disk is full'],
      [undefined, 'there is no room for it'],
    ] as const) {
      const { world, node, offers, call, ended } = receiving()
      const talk = call(offer())
      offers[0]?.give(refuse)
      world.pass(5)
      expect([said(talk), talk.ended]).toEqual([[refusal(sentence)], 'the other side closed it'])
      expect(ended()).toEqual([{ from: '2', why: sentence }])
      expect([node.links.inspect().receiving, node.events]).toEqual([0, []])
    }
  })

  test('what cannot be written, or is not whole, is given up, and why is said', () => {
    for (const frame of [chunk(0), { type: 'snapshot-end', chunks: 0 } as const]) {
      const { world, node, offers, call, ends } = receiving()
      const talk = call(offer())
      const sink = new Sink()
      offers[0]?.give(sink)
      talk.say(frame, ...(frame.type === 'snapshot-chunk' ? [chunk(1)] : []))
      world.pass(5)
      ends(sink, new Error('EIO'))
      expect([said(talk).slice(1), talk.ended]).toEqual([[refusal('EIO')], 'the other side closed it'])
      expect([sink.aborted, sink.written.length, node.of('received')]).toEqual([1, 1, []])
      expect(node.links.inspect().receiving).toBe(0)
      const again = call(offer())
      expect([offers.length, again.ended]).toEqual([2, undefined])
    }
  })

  test('one of an older term does not take the place of a newer one, unless that has ended', () => {
    const { world, offers, call, node } = receiving()
    const newer = call(offer('newer', asTerm(6)))
    const older = call(offer('older', asTerm(5)))
    expect([said(older), older.ended]).toEqual([
      [refusal('a snapshot of term 6 is being received')],
      'the other side closed it',
    ])
    offers[0]?.give(new Sink())
    newer.wire?.close('enough')
    world.pass(5)
    call(offer('older', asTerm(5)))
    expect(offers.map(({ id }) => id)).toEqual(['newer', 'older'])
    const same = call(offer('same', asTerm(5)))
    expect([same.ended, node.links.inspect().receiving]).toEqual([undefined, 1])
  })

  test.each(['being opened', 'being written', 'being finished', 'doing nothing'])(
    'a newer one takes the place of one that is %s when that is done',
    (phase) => {
      const { world, node, offers, call, ended, ends } = receiving()
      const first = call(offer('first'))
      const sink = new Sink()
      if (phase !== 'being opened') offers[0]?.give(sink)
      if (phase === 'being written') first.say(chunk(0), chunk(1))
      if (phase === 'being finished') first.say({ type: 'snapshot-end', chunks: 0 })
      world.pass(5)
      const second = call(offer('second'))
      expect([first.ended, ended()]).toEqual([
        'the other side closed it',
        [{ from: '2', why: 'replaced by a newer transfer' }],
      ])
      if (phase !== 'doing nothing') {
        expect(offers.map(({ id }) => id)).toEqual(['first'])
        if (phase === 'being opened') offers[0]?.give(sink)
        else ends(sink)
      }
      expect(offers.map(({ id }) => id)).toEqual(['first', 'second'])
      // No more calls are made for the first snapshot, yet it counts as complete.
      expect([sink.written.length, sink.aborted]).toEqual([
        phase.startsWith('being o') || phase === 'doing nothing' ? 0 : 1,
        0,
      ])
      expect(node.of('received')).toHaveLength(phase === 'being finished' ? 1 : 0)
      const other = new Sink()
      offers[1]?.give(other)
      second.say(chunk(0))
      world.pass(5)
      ends(other)
      expect(said(second)).toEqual([
        { type: 'snapshot-accept', nextChunk: 0 },
        { type: 'snapshot-written', number: 0 },
      ])
      expect(node.links.inspect().receiving).toBe(1)
    },
  )

  test('a node that closes ends what it receives, and who has not offered yet', () => {
    const { world, node, offers, call, ended } = receiving()
    const waiting = call()
    const talk = call(offer())
    expect(node.links.inspect().receiving).toBe(2)
    const sink = new Sink()
    offers[0]?.give(sink)
    talk.say({ type: 'snapshot-end', chunks: 0 })
    world.pass(5)
    node.links.close()
    expect(ended()).toEqual([
      { from: '2', why: 'closed' },
      { from: '2', why: 'closed' },
    ])
    sink.under?.()
    world.pass(5)
    expect([waiting.ended, talk.ended, node.events]).toEqual([
      'the other side closed it',
      'the other side closed it',
      [],
    ])
    expect(node.underWay).toEqual({})
  })
})
