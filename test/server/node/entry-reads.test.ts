// An entry is applied only when all its keys, ranges and leases are in memory. Later entries wait.

import { expect, onTestFinished, test } from 'vitest'
import { stream } from '../../../jepsen-lite/workload/random.ts'
import { versionKey } from '../../../src/kv/codec/rows.ts'
import { UnknownKindError } from '../../../src/kv/errors.ts'
import {
  type ApplyResult,
  type Command,
  encodeState,
  initialState,
  type KeyCommand,
  type Request,
} from '../../../src/kv/index.ts'
import { asRevision, type KvSettings, type LeaseId } from '../../../src/operations/forms/index.ts'
import type { KvTxnOperation } from '../../../src/operations/index.ts'
import { asIndex, asTerm } from '../../../src/raft/types.ts'
import type { Applier } from '../../../src/server/node/apply/applier.ts'
import type { StoreLimits } from '../../../src/server/node/key-index/key-index.ts'
import { ScanEndedError, type Storage } from '../../../src/storage/index.ts'
import { ask, batchOf, deleteOf, putOf, utf8 } from '../../kv/store.ts'
import { memoryDisk, openDisk } from '../../storage/replicas.ts'
import { closed, hardState } from '../../storage/samples.ts'
import { applierOn, entryOf } from './applying.ts'

const KEYS_AT_ONCE = 64

type Read = () => void

/** A node that applies. The test completes its reads from the disk. */
class Applying {
  readonly storage: Storage
  readonly applier: Applier
  readonly #reads: Read[]
  readonly outcomes: (ApplyResult['outcome'] | undefined)[] = []
  readonly failures: Error[] = []
  /** The number of reports that an entry can be applied. */
  told = 0
  #index = 1

  private constructor(storage: Storage, reads: Read[]) {
    this.storage = storage
    this.#reads = reads
    this.applier = applierOn(storage, KEYS_AT_ONCE, {
      entryApplied: (_, result) => void this.outcomes.push(result?.outcome),
      entryRead: () => {
        this.told++
        this.applier.run(() => false)
      },
      failed: (error) => void this.failures.push(error),
    })
  }

  static async start(
    limits: Partial<StoreLimits> = { rowHeads: 1 },
    settings: Partial<KvSettings> = { rangeKeysMax: 10 },
  ): Promise<Applying> {
    const kv = encodeState({ ...initialState(settings) })
    const record = { index: asIndex(1), term: asTerm(1), raft: new Uint8Array(), kv }
    const reads: Read[] = []
    // The disk completes reads on its own during opening and closing.
    let isHeld = false
    const later = (what: 'write' | 'read', done: () => void): void => {
      if (what === 'read') reads.push(done)
      else setImmediate(done)
      if (what === 'read' && !isHeld) setImmediate(readOne)
    }
    const readOne = (): void => reads.shift()?.()
    const storage = await openDisk(
      memoryDisk({ hardState: hardState(1, 1), applied: record }),
      later,
      {},
      limits,
    )
    while (reads.length > 0) await new Promise(setImmediate)
    isHeld = true
    const node = new Applying(storage, reads)
    onTestFinished(() => {
      isHeld = false
      node.applier.clear()
      node.readOn()
      return closed(storage)
    })
    return node
  }

  push(...commands: readonly Request['command'][]): void {
    this.applier.push(commands.map((command) => entryOf(++this.#index, ask(command))))
    this.applier.run(() => false)
  }

  /** Completes one read of the disk. */
  readOne(): boolean {
    const read = this.#reads.shift()
    read?.()
    return read !== undefined
  }

  readOn(): void {
    while (this.readOne());
  }

  get shown(): string[] {
    return this.outcomes.map((outcome) =>
      outcome === undefined
        ? ''
        : `${outcome.kind} ${outcome.revision}${'version' in outcome ? `/${outcome.version}` : ''}`,
    )
  }
}

/** More keys than the node remembers. */
const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l'] as const
const puts = keys.map((key): KeyCommand => putOf(key, 'value'))

test('an entry whose keys are in memory is applied at once', async () => {
  const node = await Applying.start({ rowHeads: 1000 })
  node.push(...puts, putOf('a', 'other'))
  expect(node.shown).toHaveLength(13)
  expect(node.shown.at(-1)).toBe('put 14/2')
  expect(node.told).toBe(0)
})

test('an entry waits for the head of its key, and the entries behind it wait for it', async () => {
  const node = await Applying.start()
  node.push(...puts)
  node.readOn()
  expect(node.shown).toHaveLength(12)
  const cold = keys.filter((key) => node.storage.keyMetadata(Buffer.from(`\u0008${key}`)) === undefined)
  expect(cold.length).toBeGreaterThan(2)
  node.outcomes.length = 0
  const [one = '', other = ''] = cold
  node.push(putOf(one, '2'), putOf(one, '3'), putOf(other, '2'))
  expect([node.shown, node.applier.queued, node.applier.pending]).toEqual([[], 3, false])
  node.readOn()
  expect(node.shown).toEqual(['put 14/2', 'put 15/3', 'put 16/2'])
  expect(node.applier.queued).toBe(0)
})

test('the heads of the entries that wait are read in one scan', async () => {
  const node = await Applying.start({ rowHeads: 500 })
  const many = Array.from({ length: 1000 }, (_, at) => `${at}`)
  node.push(batchOf(...many.map((key) => putOf(key, 'value'))))
  node.readOn()
  const cold = many.filter((key) => node.storage.keyMetadata(Buffer.from(`\u0008${key}`)) === undefined)
  node.outcomes.length = 0
  // The first key begins the scan, and the others are read with it, each once.
  node.push(...cold.slice(0, 3).map((key) => putOf(key, '2')), putOf(cold[1] ?? '', '3'))
  node.told = 0
  let reads = 0
  while (node.readOne()) reads++
  expect(node.shown).toEqual(['put 1002/2', 'put 1003/2', 'put 1004/2', 'put 1005/3'])
  expect([node.told, reads]).toEqual([1, 3])
})

test('an entry with more keys than fit into memory finds all of them, also what it has changed itself', async () => {
  const node = await Applying.start()
  node.push(...puts)
  node.readOn()
  node.outcomes.length = 0
  node.push(batchOf(...puts, ...keys.map((key) => deleteOf(key)), ...puts))
  node.readOn()
  const [outcome] = node.outcomes
  if (outcome?.kind !== 'batch') return expect.fail()
  const versions = outcome.outcomes.map((each) => (each.kind === 'put' ? each.version : each.kind))
  expect(versions).toEqual([...keys.map(() => 2), ...keys.map(() => 'delete'), ...keys.map(() => 1)])
})

const range = (start: string, end: string) =>
  ({ kind: 'delete-range', range: { start: utf8(start), end: utf8(end) } }) as const

const count = (start: string, end: string): KvTxnOperation => ({
  ...{ kind: 'get', where: { start: utf8(start), end: utf8(end) }, limit: undefined },
  ...{ keysOnly: true, count: false, countOnly: true },
})
const txn = (...success: KvTxnOperation[]): Command => ({
  kind: 'txn',
  txn: { compare: [], success, failure: [] },
})

test('the keys of a range are those before the entry', async () => {
  const node = await Applying.start()
  node.push(...puts, deleteOf('c'), range('b', 'f'), range('b', 'f'))
  node.readOn()
  expect(node.outcomes.slice(-2)).toEqual([
    { kind: 'delete-range', revision: 15, deleted: 3 },
    { kind: 'delete-range', revision: 15, deleted: 0 },
  ])
})

test.each([1, 1000])(
  'a get at a revision has the versions of then, with %i heads in memory',
  async (rowHeads) => {
    const node = await Applying.start({ rowHeads })
    node.push(...puts)
    node.readOn()
    const before = node.applier.state.revision
    node.push(deleteOf('c'), putOf('b', 'later'))
    const past = {
      kind: 'get' as const,
      where: { start: utf8('b'), end: utf8('e') },
      ...{ limit: undefined, keysOnly: false, count: false, countOnly: false },
      revision: before,
    }
    const change = { kind: 'put', key: utf8('new'), value: utf8(''), prev: false } as const
    node.push({ kind: 'txn', txn: { compare: [], success: [change, past], failure: [] } })
    node.readOn()
    const outcome = node.outcomes.at(-1)
    const [, found] = outcome?.kind === 'txn' ? outcome.results : []
    const records = found?.kind === 'get' ? found.found?.records : undefined
    expect(records?.map(({ key, value }) => [...key, ...value])).toEqual(
      ['b', 'c', 'd'].map((key) => [...utf8(key), ...utf8('value')]),
    )
  },
)

test('a range with too many keys is refused, and not read to its end', async () => {
  const node = await Applying.start({ rowHeads: 1000 })
  node.push(...puts, range('a', 'z'))
  node.readOn()
  expect(node.outcomes.at(-1)).toMatchObject({
    kind: 'refused',
    code: 'range_too_large',
    numbers: [10, 4 * 2 ** 20],
  })
  // All ranges of an entry count together.
  node.push(txn(count('a', 'f'), count('f', 'l')), txn(count('a', 'f'), count('f', 'k')))
  node.readOn()
  expect(node.outcomes.at(-2)).toMatchObject({ kind: 'refused', reason: 'range-too-large' })
  expect(node.outcomes.at(-1)).toMatchObject({
    kind: 'txn',
    results: [{ found: { count: 5 } }, { found: { count: 5 } }],
  })
  node.push(range('a', 'k'))
  node.readOn()
  expect(node.outcomes.at(-1)).toMatchObject({ kind: 'delete-range', deleted: 10 })
})

test('a range with too many bytes of keys is refused, and not read to its end', async () => {
  const long = (name: string): string => name.repeat(100)
  const node = await Applying.start({ rowHeads: 1000 }, { rangeBytesMax: 300 })
  node.push(...['a', 'b', 'c', 'd'].map((name) => putOf(long(name), 'v')), range('a', 'z'))
  node.readOn()
  expect(node.outcomes.at(-1)).toMatchObject({
    kind: 'refused',
    code: 'range_too_large',
    numbers: [10_000, 300],
  })
  // All ranges of an entry count together.
  node.push(txn(count('a', 'c'), count('c', 'z')), txn(count('a', 'b'), count('b', 'd')))
  node.readOn()
  expect(node.outcomes.at(-2)).toMatchObject({ kind: 'refused', reason: 'range-too-large' })
  expect(node.outcomes.at(-1)).toMatchObject({
    kind: 'txn',
    results: [{ found: { count: 1 } }, { found: { count: 2 } }],
  })
  node.push(range('b', 'z'))
  node.readOn()
  expect(node.outcomes.at(-1)).toMatchObject({ kind: 'delete-range', deleted: 3 })
})

test('what is read is dropped with the entry when a snapshot is installed meanwhile', async () => {
  const node = await Applying.start()
  node.push(...puts)
  node.readOn()
  const applied = node.outcomes.length
  const { scan } = node.storage
  let open = 0
  node.storage.scan = (asked) => {
    const opened = scan.call(node.storage, asked)
    const { close } = opened
    open++
    opened.close = () => {
      open--
      close.call(opened)
    }
    return opened
  }
  node.push(range('b', 'f'))
  expect([node.applier.queued, open]).toEqual([1, 1])
  node.applier.clear()
  expect(open).toBe(0)
  const told = node.told
  node.readOn()
  expect([node.outcomes.length, node.told, node.failures]).toEqual([applied, told, []])
  expect(node.applier.pending).toBe(false)
})

test('a scan that was ended for lack of space is begun again', async () => {
  const node = await Applying.start()
  node.push(...puts)
  node.readOn()
  node.push(range('b', 'f'), deleteOf('a'))
  node.storage.endOldScans()
  node.storage.endOldScans()
  node.readOn()
  expect(node.outcomes.slice(-2)).toMatchObject([{ deleted: 4 }, { deleted: 1 }])
  expect(node.failures).toEqual([])
})

/** More keys than a slice, and than the node remembers. */
const many = Array.from({ length: 600 }, (_, at) => `k${at}`)
const [one, other] = ['7', '18446744073709551615'] as LeaseId[]

async function leased(): Promise<Applying> {
  const node = await Applying.start({ rowHeads: 1 }, { rangeKeysMax: 1000 })
  node.push(...[one, other].map((id): Request['command'] => ({ kind: 'grant', id, ttlMs: 1000 })))
  node.push(
    ...many.map((key, at) => ({
      ...putOf(key, 'v'),
      lease: { id: (at % 3 === 0 ? other : one) as LeaseId },
    })),
  )
  node.readOn()
  return node
}

test('the keys of leases that an entry ends are read in slices before it is applied', async () => {
  const node = await leased()
  expect(node.applier.state.leases.count).toBe(2)
  const { scan } = node.storage
  const pages: number[] = []
  node.storage.scan = (asked) => {
    const opened = scan.call(node.storage, asked)
    const { next } = opened
    opened.next = (limits, done) =>
      next.call(opened, limits, (error, rows, more) => {
        pages.push(rows.length)
        done(error, rows, more)
      })
    return opened
  }
  const expire = [one, other].map((id) => ({ id: id as LeaseId, deadlineMs: 6000 }))
  node.push(deleteOf('k0'), { kind: 'expire', leases: expire }, putOf('k1', 'again'))
  node.readOn()
  expect(node.outcomes.slice(-2)).toMatchObject([
    { kind: 'expired', leases: 2, deleted: 599 },
    { kind: 'put', version: 1 },
  ])
  expect(Math.max(...pages)).toBeLessThanOrEqual(256)
  expect([node.applier.state.keys, node.applier.state.leases.count]).toEqual([1, 0])
})

test('of many leases with neighbours those that an entry ends lose all of their keys, and no other one', async () => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  const random = stream(seed, 1, 0)
  const below = (limit: number): number => Math.floor(random() * limit)
  // Some nodes forget most heads, but not those that were just read for the next 64 entries. Otherwise each entry would
  // cost 64 seeks.
  const node = await Applying.start({ rowHeads: random() < 0.5 ? 500 : 10_000 }, { rangeKeysMax: 100_000 })
  const leases = Array.from({ length: 150 }, (_, at) => {
    // Some ids are neighbours, some are far apart.
    const id = (
      random() < 0.5 ? `${1000 + at}` : `${BigInt(below(2 ** 31)) * 2n ** 32n + BigInt(at)}`
    ) as LeaseId
    const count = random() < 0.1 ? below(100) : below(4)
    return { id, keys: Array.from({ length: count }, (_, n) => `${at}/${n}`), ends: random() < 0.6 }
  })
  node.push(...leases.map(({ id }): Request['command'] => ({ kind: 'grant', id, ttlMs: 1000 })))
  for (const { id, keys } of leases) node.push(...keys.map((key) => ({ ...putOf(key, 'v'), lease: { id } })))
  node.readOn()
  const ended = leases.filter(({ ends }) => ends).slice(0, 128)
  const deleted = ended.reduce((sum, { keys }) => sum + keys.length, 0)
  const expire = ended.map(({ id }) => ({ id, deadlineMs: 6000 }))
  node.push({ kind: 'expire', leases: expire })
  node.readOn()
  expect(node.outcomes.at(-1), `seed ${seed}`).toMatchObject({
    kind: 'expired',
    leases: ended.length,
    deleted,
  })
  for (const lease of leases) {
    node.push(...lease.keys.map((key) => putOf(key, 'again')))
    node.readOn()
    const versions = new Set(
      node.outcomes
        .slice(node.outcomes.length - lease.keys.length)
        .map((each) => each && 'version' in each && each.version),
    )
    if (lease.keys.length > 0) expect([...versions], `seed ${seed}`).toEqual([ended.includes(lease) ? 1 : 2])
  }
})

test('an error of the disk is the error of the node', async () => {
  const node = await Applying.start({ rowHeads: 1000 })
  node.push(...puts)
  const { scan } = node.storage
  node.storage.scan = (asked) => {
    const opened = scan.call(node.storage, asked)
    opened.next = (_, done) => done(new Error('EIO'), [], false)
    return opened
  }
  node.push(range('b', 'f'))
  expect(node.failures).toEqual([new Error('EIO')])
  expect(node.failures[0]).not.toBeInstanceOf(ScanEndedError)
  expect(node.outcomes).toHaveLength(12)
})

test('a row that this program does not know is the error of the node, and not of the disk that has read it', async () => {
  const node = await Applying.start()
  node.push(...puts)
  node.readOn()
  const [cold = ''] = keys.filter(
    (key) => node.storage.keyMetadata(Buffer.from(`\u0008${key}`)) === undefined,
  )
  const next = asIndex(node.storage.applied.index + 1)
  node.storage.begin(next, { bytes: 0, items: 0 })
  const row = { key: versionKey(utf8(cold), asRevision(99)), value: Uint8Array.of(0x80), before: null }
  node.storage.change(row)
  node.storage.end({ ...node.storage.applied, index: next })
  node.push(putOf(cold, 'v'))
  node.readOn()
  expect(node.failures).toEqual([new UnknownKindError('the row of a version with flags 128')])
  expect(node.outcomes).toHaveLength(12)
})
