// Batches of bounded size, for entries and rows of all sizes. Each batch that the engine receives is within the
// limits. A message leaves when its write is completely durable, and in the end all writes are.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { recovered } from '../../../jepsen-lite/sim/oracle/recovery.ts'
import { asIndex, asReplicaId, asTerm, type Entry, type Message } from '../../../src/raft/types.ts'
import { keyIndexLimits, type StoreLimits } from '../../../src/server/node/key-index/key-index.ts'
import { driverLimits } from '../../../src/server/node/limits.ts'
import { GroupCommit } from '../../../src/server/node/write/group-commit.ts'
import type { EngineBatch } from '../../../src/storage/engine.ts'
import { TABLE_LOG, TABLE_ROWS } from '../../../src/storage/keys.ts'
import { storeLimits } from '../../../src/storage/store.ts'
import type { Storage } from '../../../src/storage/types.ts'
import { runs } from '../../runs.ts'
import { FaultyEngine } from '../../storage/faulty.ts'
import { memoryDisk } from '../../storage/replicas.ts'
import {
  applied,
  applyRows,
  changes,
  entry,
  frames,
  hardState,
  must,
  rowKey,
  text,
} from '../../storage/samples.ts'
import { VirtualClock } from '../virtual-clock.ts'

/** The effect of one batch on the log and on the rows. */
interface Seen {
  /** Lengths of the frames. */
  readonly frames: number[]
  readonly rows: { readonly bytes: number; readonly index: string }[]
  truncates: boolean
}

class MeasuringEngine extends FaultyEngine {
  readonly seen: Seen[] = []

  override batch(): EngineBatch {
    const batch = super.batch()
    const seen: Seen = { frames: [], rows: [], truncates: false }
    this.seen.push(seen)
    const [put, remove] = [batch.put.bind(batch), batch.delete.bind(batch)]
    batch.put = (key, value) => {
      if (key[2] === TABLE_LOG) seen.frames.push(...framesIn(value))
      if (key[2] === TABLE_ROWS)
        seen.rows.push({ bytes: key.length + value.length, index: must(must(text(value)).split(':')[0]) })
      put(key, value)
    }
    batch.delete = (key) => {
      if (key[2] === TABLE_LOG) seen.truncates = true
      remove(key)
    }
    return batch
  }
}

/** A frame begins with its length; the record ends with its checksum. */
function framesIn(record: Uint8Array): number[] {
  const lengths: number[] = []
  for (let at = 0; at + 4 < record.length; at += must(lengths.at(-1)))
    lengths.push(Buffer.from(record).readUInt32BE(at))
  return lengths
}

function expectBounded({ frames, rows, truncates }: Seen, limits: StoreLimits): void {
  const { batchBytesMax, batchItemsMax } = limits
  const fits = (list: readonly number[]): boolean =>
    list.reduce((sum, one) => sum + one, 0) <= batchBytesMax && list.length <= batchItemsMax
  // A truncation rewrites the rest of the record that it cuts.
  if (!truncates && frames.length > 1) expect({ frames, fits: fits(frames) }).toEqual({ frames, fits: true })
  const entries = new Set(rows.map(({ index }) => index))
  if (entries.size > 1)
    expect({ rows, fits: fits(rows.map(({ bytes }) => bytes)) }).toEqual({ rows, fits: true })
}

type Step =
  /** One write of the core; `back`: the number of uncommitted entries that it overwrites. */
  | { readonly kind: 'write'; readonly sizes: readonly number[]; readonly back: number }
  /** The next entries are committed, and their rows applied. */
  | { readonly kind: 'apply'; readonly sizes: readonly number[] }
  | { readonly kind: 'flush' }
  /** The disk advances by this time. */
  | { readonly kind: 'disk'; readonly ms: number }

const sizes = fc.array(fc.oneof(fc.nat({ max: 20 }), fc.nat({ max: 900 })), { maxLength: 12 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('write' as const), sizes, back: fc.nat({ max: 3 }) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('apply' as const), sizes }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('flush' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('disk' as const), ms: fc.nat({ max: 40 }) }) },
)
const limits = fc.record({
  batchBytesMax: fc.integer({ min: 1, max: 3000 }),
  batchItemsMax: fc.integer({ min: 1, max: 20 }),
})

/** A replica whose disk takes ten virtual milliseconds for a write, and the part of the core that matters here. */
class Node {
  readonly clock = new VirtualClock()
  readonly disk = memoryDisk()
  readonly limits: StoreLimits
  readonly engine: MeasuringEngine
  readonly storage: Storage
  readonly commits: GroupCommit
  log: Entry[] = [entry(0, 0), entry(1, 1)]
  term = 1
  commit = 1
  readonly rows = new Map<string, string>()
  readonly failures: string[] = []
  /** Thrown by every read. */
  readFault: Error | undefined
  #writes = 0
  readonly #waiting = new Map<number, readonly Entry[]>()

  constructor(some: Partial<StoreLimits>) {
    this.limits = { ...storeLimits, ...keyIndexLimits, ...some }
    let engine: MeasuringEngine | undefined
    let opened: Storage | undefined
    const later = (_: string, complete: () => void): void => void this.clock.after(10, complete)
    this.disk.open(
      this.limits,
      { later, writing() {}, durable() {}, failed() {} },
      (_, storage) => {
        opened = storage
      },
      (inner) => {
        engine = new MeasuringEngine(inner, {
          beforeRead: () => {
            if (this.readFault !== undefined) throw this.readFault
          },
        })
        return engine
      },
    )
    this.clock.advance(1000)
    this.engine = must(engine)
    this.storage = must(opened)
    this.commits = new GroupCommit({
      clock: this.clock,
      storage: this.storage,
      limits: driverLimits,
      raft: {
        hardState: () => hardState(this.term, this.commit),
        needed: { after: asIndex(0), lateSnapshots: 0 },
      },
      space: { state: 'enough', freeBytes: Number.POSITIVE_INFINITY, writes: () => {} },
      diskSpeed: { began: () => {}, ended: () => {} },
      peers: { send: (message) => this.#left(message) },
      events: { batchStored: () => {} },
      lifecycle: {
        fail: (error) => void this.failures.push(error instanceof Error ? error.message : String(error)),
      },
    })
  }

  write(bodies: readonly number[], back: number): void {
    const from = Math.max(this.commit + 1, this.log.length - back)
    const isOver = from < this.log.length
    if (isOver) this.term++
    const list = bodies.map((size, at) => entry(from + at, this.term, 'x'.repeat(size)))
    this.log = [...this.log.slice(0, from), ...list]
    const number = ++this.#writes
    this.#waiting.set(number, list)
    this.commits.enqueue({
      number,
      hardState: hardState(this.term, this.commit),
      truncateFrom: isOver ? asIndex(from) : undefined,
      entries: list,
      snapshot: undefined,
    })
    const [from9, to] = [asReplicaId('9'), asReplicaId('8')]
    const message = { type: 'timeout-now', from: from9, to, term: asTerm(number) } as const
    this.commits.send({ message, after: number, afterTerm: number })
  }

  apply(values: readonly number[]): void {
    const index = this.commit + 1
    const committed = this.log[index]
    if (committed === undefined) return
    this.commit = index
    const list = values.map((size, at) => [`${at} of ${index % 5}`, `${index}:${'y'.repeat(size)}`] as const)
    for (const [name, value] of list) this.rows.set(name, value)
    applyRows(this.storage, changes(Object.fromEntries(list)), applied(index, committed.term))
  }

  /** The number of writes whose messages have not left. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Asserts that the write is completely durable, except for entries that the core has overwritten since. */
  #left({ term: number }: Message): void {
    const found = must(recovered(this.disk, this.limits).storage)
    for (const { index, term } of this.#waiting.get(number) ?? [])
      if (this.log[index]?.term === term) expect(found.log.termAt(index)).toBe(term)
    this.#waiting.delete(number)
  }

  end(): void {
    this.write([5], 0)
    let isClosed = false
    this.commits.close((error) => {
      expect(error).toBeUndefined()
      isClosed = true
    })
    this.clock.advance(1_000_000)
    expect([isClosed, this.failures]).toEqual([true, []])
    expect(this.commits.inspect()).toMatchObject({ writes: 0, inFlight: 0 })
    for (const seen of this.engine.seen) expectBounded(seen, this.limits)
    const again = must(recovered(this.disk, this.limits).storage)
    expect(again.hardState).toEqual(hardState(this.term, this.commit))
    expect(again.applied.index).toBe(this.commit)
    expect(frames(again.log.entries(asIndex(2), asIndex(this.log.length), 1e9))).toEqual(
      frames(this.log.slice(2)),
    )
    for (const [name, value] of this.rows) expect(text(again.get(rowKey(name)))).toBe(value)
  }
}

test('no batch is larger than its limits, a message waits for its whole write, and nothing is left', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), limits, (steps, some) => {
      const node = new Node(some)
      for (const now of steps) {
        if (now.kind === 'write') node.write(now.sizes, now.back)
        else if (now.kind === 'apply') node.apply(now.sizes)
        else if (now.kind === 'flush') node.commits.flush()
        else node.clock.advance(now.ms)
      }
      node.end()
    }),
    { numRuns: runs(150) },
  )
})

test('as shipped, writes of a mebibyte go one by one', () => {
  const node = new Node({})
  const values = Array.from({ length: 5 }, () => 1 << 20)
  node.write(values, 0)
  for (const size of values) node.apply([size])
  node.commits.flush()
  node.end()
  const largest = node.engine.seen.map(({ frames, rows }) => [frames.length, rows.length])
  expect(Math.max(...largest.flat())).toBe(1)
  expect(largest.filter(([count]) => count === 1)).toHaveLength(values.length + 1)
})

test('rows that never end do not keep the log from the disk', () => {
  const node = new Node({ batchBytesMax: 1000, batchItemsMax: 1 })
  node.write(
    Array.from({ length: 400 }, () => 1),
    0,
  )
  node.commits.flush()
  node.clock.advance(1_000_000)
  expect(node.waiting).toBe(0)
  // A leader whose followers are faster: each batch finds more rows than it can hold.
  for (let more = 0; more < 20; more++) node.apply([1, 1])
  node.write([1], 0)
  node.commits.flush()
  let batches = 0
  for (; node.waiting > 0; batches++) {
    expect(batches).toBeLessThan(20)
    for (let more = 0; more < 3; more++) node.apply([1, 1])
    node.clock.advance(10)
  }
  node.end()
})

test('a record that cannot be read when a batch is made is told, wherever that happens', () => {
  const node = new Node({})
  node.write([1, 1, 1, 1], 0)
  node.commits.flush()
  node.clock.advance(100)
  node.write([1], 0)
  node.commits.flush()
  // During that batch, the next write truncates a record, which must be read first.
  node.write([1], 3)
  node.readFault = new Error('EIO: i/o error, read')
  node.clock.advance(100)
  expect(node.failures).toEqual([expect.stringContaining('EIO')])
})
