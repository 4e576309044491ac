import { expect, test } from 'vitest'
import { asIndex, asTerm } from '../../../../src/raft/types.ts'
import type { SnapshotSink, SnapshotSource } from '../../../../src/storage/types.ts'
import {
  atRest,
  introduce,
  pair,
  relayTo,
  type TestNode,
  type TestNodeOptions,
  testNode,
} from './test-nodes.ts'

const TERM = asTerm(5)

interface Source extends SnapshotSource {
  /** The chunks that were requested, in order. */
  readonly asked: number[]
  readonly closes: number
}

const chunk = (number: number, bytes: number): Buffer => Buffer.alloc(bytes, number + 1)

function sourceOf(count: number, bytes = 1000, failsAt = -1): Source {
  const asked: number[] = []
  let closes = 0
  return {
    asked,
    get closes() {
      return closes
    },
    id: `s${count}`,
    meta: {
      index: asIndex(40),
      term: asTerm(4),
      applied: {
        index: asIndex(40),
        term: asTerm(4),
        raft: new Uint8Array([1, 2, 3]),
        kv: new Uint8Array([4]),
      },
      stateHash: 2n ** 63n + 5n,
    },
    read(number, done) {
      if (closes > 0) throw new Error('read after close')
      asked.push(number)
      setImmediate(() => {
        if (number === failsAt) done(new Error('the disk'), undefined)
        else done(undefined, number < count ? chunk(number, bytes) : undefined)
      })
    },
    close() {
      closes++
    },
  }
}

/** A sink whose steps complete one by one when the test allows it, or all at once. */
class Sink implements SnapshotSink {
  readonly written: Uint8Array[] = []
  finished = 0
  aborted = 0
  free = true
  /** The result of the next `write` or `finish`. */
  fails: Error | undefined
  private pending: (() => void) | undefined
  private wake = () => {}

  get nextChunk(): number {
    return this.written.length
  }

  write(number: number, bytes: Uint8Array, done: (error: Error | undefined) => void): void {
    this.step(() => {
      if (number !== this.nextChunk) done(new Error(`chunk ${number} instead of ${this.nextChunk}`))
      else {
        if (this.fails === undefined) this.written.push(new Uint8Array(bytes))
        done(this.fails)
      }
    })
  }

  finish(done: (error: Error | undefined) => void): void {
    this.step(() => {
      this.finished++
      done(this.fails)
    })
  }

  abort(): void {
    this.aborted++
  }

  /** Resolves with the function that completes the waiting step. */
  async waiting(): Promise<() => void> {
    while (this.pending === undefined) {
      await new Promise<void>((resolve) => {
        this.wake = resolve
      })
    }
    const { pending } = this
    this.pending = undefined
    return pending
  }

  private step(run: () => void): void {
    if (this.pending !== undefined) throw new Error('two steps at a time')
    if (this.free) setImmediate(run)
    else {
      this.pending = run
      this.wake()
    }
  }
}

type Offer = Parameters<TestNode['snapshotOffered']>

/** Two peers; every snapshot offered to the second goes into `sink`. */
async function sending(
  a: TestNodeOptions = {},
  b: TestNodeOptions = {},
): Promise<{ a: TestNode; b: TestNode; sink: Sink; offers: Offer[] }> {
  const [from, to] = await pair(a, b)
  return { a: from, b: to, ...taking(to) }
}

function taking(testNode: TestNode): { sink: Sink; offers: Offer[] } {
  const sink = new Sink()
  const offers: Offer[] = []
  testNode.snapshotOffered = (...offer) => {
    offers.push(offer)
    offer[4](undefined, sink)
  }
  return { sink, offers }
}

const ended = (ok: boolean) => ({ kind: 'sent', to: '2', index: 40, ok })

test('a snapshot arrives whole, with all that is said of it', async () => {
  const { a, b, sink, offers } = await sending()
  const source = sourceOf(20, 100_000)
  a.network.sendSnapshot(b.member.id, TERM, source)
  expect(await b.next('received')).toEqual({ kind: 'received', from: '1', snapshotId: 's20' })
  expect(await a.next('sent')).toEqual(ended(true))
  expect(offers.map(([from, term, id, meta]) => ({ from, term, id, meta }))).toEqual([
    { from: '1', term: 5, id: 's20', meta: source.meta },
  ])
  expect(sink.written).toHaveLength(20)
  expect(sink.written.every((bytes, number) => chunk(number, 100_000).equals(bytes))).toBe(true)
  expect([sink.finished, sink.aborted, source.closes]).toEqual([1, 0, 1])
})

test('a chunk for which the queue has no room is sent when there is room', async () => {
  const { a, b, sink } = await sending({ limits: { queueBytesMax: 1 } })
  a.network.sendSnapshot(b.member.id, TERM, sourceOf(4, 8_000_000))
  expect(await a.next('sent')).toEqual(ended(true))
  expect(sink.written.map(({ length }) => length)).toEqual([8_000_000, 8_000_000, 8_000_000, 8_000_000])
})

test('the end for which the queue has no room is sent when there is room', async () => {
  const { a, b, sink } = await sending({ limits: { queueBytesMax: 1 } })
  // More than the kernel takes at once, so the end arrives while the chunk is queued.
  a.network.sendSnapshot(b.member.id, TERM, sourceOf(1, 15_000_000))
  expect(await a.next('sent')).toEqual(ended(true))
  expect([sink.written.length, sink.finished]).toEqual([1, 1])
})

test('an empty snapshot arrives too', async () => {
  const { a, b, sink } = await sending()
  a.network.sendSnapshot(b.member.id, TERM, sourceOf(0))
  expect(await a.next('sent')).toEqual(ended(true))
  expect(sink.finished).toBe(1)
})

test('the sender reads no further ahead than the receiver has written, and messages pass meanwhile', async () => {
  const { a, b, sink } = await sending({ limits: { snapshotChunksInflightMax: 3 } })
  sink.free = false
  const source = sourceOf(10, 50_000)
  a.network.sendSnapshot(b.member.id, TERM, source)
  for (let written = 0; written < 10; written++) {
    const step = await sink.waiting()
    // The maximum number of chunks is in flight: after several round trips, no further chunk has been read.
    for (let round = 0; round < 5; round++) {
      a.network.sendStateHash({ index: asIndex(round), hash: 1n })
      await b.next('hash')
      b.network.sendStateHash({ index: asIndex(round), hash: 1n })
      await a.next('hash')
    }
    expect(source.asked.length).toBeLessThanOrEqual(written + 3)
    step()
  }
  ;(await sink.waiting())()
  expect(await a.next('sent')).toEqual(ended(true))
})

test('a transfer that breaks off goes on where it stopped', async () => {
  const b = await testNode({ id: 2 })
  const relay = await relayTo(() => b.address)
  const a = await testNode({
    id: 1,
    resolvePeer: () => `127.0.0.1:${relay.address.port}`,
    limits: { reconnectMaxMs: 5, snapshotChunksInflightMax: 2 },
  })
  introduce(a, b)
  await a.next('connected')
  const { sink, offers } = taking(b)
  sink.free = false
  const source = sourceOf(10)
  a.network.sendSnapshot(b.member.id, TERM, source)
  for (let written = 0; written < 4; written++) (await sink.waiting())()
  const inTheMiddle = await sink.waiting()
  // The maximum number of chunks is in flight. They do not count on the next connection.
  while (a.network.inspect().chunksInFlight !== 2) await new Promise(setImmediate)
  relay.reset()
  await a.next('disconnected')
  await a.next('connected')
  // A write is still in progress when the sender reconnects: the new transfer begins after it.
  inTheMiddle()
  sink.free = true
  expect(await a.next('sent')).toEqual(ended(true))
  expect(sink.written).toHaveLength(10)
  expect([offers.length, sink.aborted, source.closes]).toEqual([2, 0, 1])
  await atRest(a, b)
})
