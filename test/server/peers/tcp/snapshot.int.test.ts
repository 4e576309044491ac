// Snapshots over sockets: their bytes, and chunks for which the queue has no room. transfer.test.ts has every rule.

import { expect, test } from 'vitest'
import { asIndex, asTerm } from '../../../../src/raft/types.ts'
import type { SnapshotSink, SnapshotSource } from '../../../../src/storage/types.ts'
import { pair, type TestNode, type TestNodeOptions } from './test-nodes.ts'

const TERM = asTerm(5)

const chunk = (number: number, bytes: number): Buffer => Buffer.alloc(bytes, number + 1)

function sourceOf(count: number, bytes: number): SnapshotSource & { readonly closes: number } {
  let closes = 0
  const applied = {
    index: asIndex(40),
    term: asTerm(4),
    raft: new Uint8Array([1, 2, 3]),
    kv: new Uint8Array([4]),
  }
  return {
    get closes() {
      return closes
    },
    id: `s${count}`,
    meta: { index: asIndex(40), term: asTerm(4), applied, stateHash: 2n ** 63n + 5n },
    read(number, done) {
      if (closes > 0) throw new Error('read after close')
      setImmediate(() => done(undefined, number < count ? chunk(number, bytes) : undefined))
    },
    close() {
      closes++
    },
  }
}

class Sink implements SnapshotSink {
  readonly written: Uint8Array[] = []
  finished = 0
  aborted = 0

  get nextChunk(): number {
    return this.written.length
  }

  write(_number: number, bytes: Uint8Array, done: (error: Error | undefined) => void): void {
    this.written.push(new Uint8Array(bytes))
    setImmediate(() => done(undefined))
  }

  finish(done: (error: Error | undefined) => void): void {
    this.finished++
    setImmediate(() => done(undefined))
  }

  abort(): void {
    this.aborted++
  }
}

type Offer = Parameters<TestNode['snapshotOffered']>

/** Two peers; every snapshot offered to the second goes into `sink`. */
async function sending(
  limits: TestNodeOptions['limits'] = {},
): Promise<{ a: TestNode; b: TestNode; sink: Sink; offers: Offer[] }> {
  const [a, b] = await pair({ limits })
  const sink = new Sink()
  const offers: Offer[] = []
  b.snapshotOffered = (...offer) => {
    offers.push(offer)
    offer[4](undefined, sink)
  }
  return { a, b, sink, offers }
}

const SENT = { kind: 'sent', to: '2', index: 40, ok: true }

test('a snapshot arrives whole, with all that is said of it', async () => {
  const { a, b, sink, offers } = await sending()
  const source = sourceOf(20, 100_000)
  a.network.sendSnapshot(b.member.id, TERM, source)
  expect(await b.next('received')).toEqual({ kind: 'received', from: '1', snapshotId: 's20' })
  expect(await a.next('sent')).toEqual(SENT)
  expect(offers.map(([from, term, id, meta]) => ({ from, term, id, meta }))).toEqual([
    { from: '1', term: 5, id: 's20', meta: source.meta },
  ])
  expect(sink.written).toHaveLength(20)
  expect(sink.written.every((bytes, number) => chunk(number, 100_000).equals(bytes))).toBe(true)
  expect([sink.finished, sink.aborted, source.closes]).toEqual([1, 0, 1])
})

test('a chunk, or the end, for which the queue has no room is sent when there is room', async () => {
  const { a, b, sink } = await sending({ queueBytesMax: 1 })
  // Each is more than the kernel takes at once, so what follows is to be sent while it is queued.
  a.network.sendSnapshot(b.member.id, TERM, sourceOf(2, 15_000_000))
  expect(await a.next('sent')).toEqual(SENT)
  expect(sink.written.map(({ length }) => length)).toEqual([15_000_000, 15_000_000])
  expect(sink.finished).toBe(1)
})
