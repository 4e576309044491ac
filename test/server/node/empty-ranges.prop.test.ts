// Ranges without a key that a node remembers hide no key. Keys are created, deleted and created again, by entries that
// are applied at once and in parts. History is compacted, snapshots replace the state, and scans in both directions
// stay open over all of this. Each scan that ends has shown the keys of its instant. Scans that read no values show the
// same as a scan of records.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Command, encodeState, initialState } from '../../../src/kv/index.ts'
import type { KeyRow } from '../../../src/operations/forms/index.ts'
import { asIndex, asTerm, type Entry } from '../../../src/raft/types.ts'
import type { Applier } from '../../../src/server/node/apply/applier.ts'
import type { StoreLimits } from '../../../src/server/node/key-index/key-index.ts'
import { MetadataScan } from '../../../src/server/node/read/metadata-scan.ts'
import type { SlicedScan } from '../../../src/server/node/read/record-scan.ts'
import { KeyScan, RecordScan, type RecordScanOptions } from '../../../src/server/node/read/record-scan.ts'
import type { Storage } from '../../../src/storage/index.ts'
import { ask, batchOf, deleteOf, putOf, utf8 } from '../../kv/store.ts'
import { runs } from '../../runs.ts'
import { metaOf } from '../../storage/conformance.ts'
import { memoryDisk, openDisk } from '../../storage/replicas.ts'
import { batch, closed, hardState, must, sinkFor, store, stream, write } from '../../storage/samples.ts'
import { applierOn, entryOf } from './applying.ts'

const TERM = 1
const FIRST = 2
/** Some begin with others, and some have the byte that ends a key in a row. */
const KEYS = ['a', 'a\0', 'a\0\0', 'aa', 'ab', 'b', 'b\0b', 'c', 'ca', 'cb', 'cc', 'd']
const BOUNDS = ['', ...KEYS, 'e']

type Content = ReadonlyMap<string, string>

interface Log {
  readonly entries: readonly Entry[]
  /** The content of the store after so many entries. */
  readonly contents: readonly Content[]
}

const key = fc.constantFrom(...KEYS)
const change = fc.oneof(
  { weight: 2, arbitrary: key.map((name) => ({ name, isPut: true })) },
  { weight: 3, arbitrary: key.map((name) => ({ name, isPut: false })) },
)
type Change = { readonly name: string; readonly isPut: boolean }
type Written =
  | { readonly kind: 'changes'; readonly changes: readonly Change[] }
  | { readonly kind: 'delete-range'; readonly start: string; readonly end: string }
  | { readonly kind: 'compact' }
const written: fc.Arbitrary<Written> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('changes'),
      changes: fc.array(change, { minLength: 1, maxLength: 5 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('delete-range'),
      start: fc.constantFrom(...BOUNDS),
      end: fc.constantFrom(...BOUNDS),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'compact' }) },
)

function logOf(all: readonly Written[]): Log {
  const contents: Content[] = [new Map()]
  const entries = all.map((each, at) => {
    const content = new Map(contents.at(-1))
    contents.push(content)
    return entryOf(FIRST + at, ask(commandOf(each, content, `value ${at}`)))
  })
  return { entries, contents }
}

/** Also makes the change in `content`. */
function commandOf(each: Written, content: Map<string, string>, value: string): Command {
  if (each.kind === 'compact') return { kind: 'compact', revision: undefined }
  if (each.kind === 'delete-range') {
    const [start, end] = [each.start, each.end].sort() as [string, string]
    for (const name of content.keys()) if (name >= start && name < end) content.delete(name)
    return { kind: 'delete-range', range: { start: utf8(start), end: utf8(end) } }
  }
  for (const { name, isPut } of each.changes)
    if (isPut) content.set(name, value)
    else content.delete(name)
  return batchOf(...each.changes.map(({ name, isPut }) => (isPut ? putOf(name, value) : deleteOf(name))))
}

/** Contents of scans. */
const CONTENTS = ['records', 'metadata', 'keys'] as const
type Read = (typeof CONTENTS)[number]

/** A scan, and its items as texts. */
interface Reading {
  /** Returns whether there are more. */
  readonly next: () => Promise<boolean>
  readonly finish: () => Promise<void>
  readonly close: () => void
  readonly shown: string[]
}

interface OpenScan extends Reading {
  readonly expected: readonly string[]
  /** A scan with values, of the same instant, if this one has none. It must show the same. */
  readonly twin: Reading | undefined
}

type Step =
  | { readonly kind: 'apply'; readonly entries: number; readonly steps: number }
  | {
      readonly kind: 'open'
      readonly start: string
      readonly end: string | undefined
      readonly reverse: boolean
      readonly rowsMax: number
      readonly content: Read
    }
  | { readonly kind: 'read' | 'finish' | 'close'; readonly scan: number }
  | { readonly kind: 'store' }
  | { readonly kind: 'install'; readonly ahead: number }

const scanNumber = fc.nat(7)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('apply'),
      entries: fc.nat(3),
      steps: fc.integer({ min: 1, max: 9 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('open'),
      start: fc.constantFrom('', ...BOUNDS),
      end: fc.constantFrom(undefined, 'e', ...BOUNDS),
      reverse: fc.boolean(),
      rowsMax: fc.constantFrom(1, 2, 5, 1000),
      content: fc.constantFrom(...CONTENTS),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('read'), scan: scanNumber }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('finish'), scan: scanNumber }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('close'), scan: scanNumber }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'store' }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('install'), ahead: fc.nat(5) }) },
)

const limits: fc.Arbitrary<Partial<StoreLimits>> = fc.record({
  rowHeads: fc.constantFrom(1, 8, 1000),
  emptyRanges: fc.constantFrom(0, 1, 3, 1000),
  emptyRangeRows: fc.constantFrom(1, 1, 3),
})

class Replica {
  readonly storage: Storage
  readonly #log: Log
  readonly #applier: Applier
  readonly #scans: OpenScan[] = []

  private constructor(storage: Storage, log: Log, keysAtOnce: number) {
    this.storage = storage
    this.#log = log
    this.#applier = applierOn(storage, keysAtOnce)
  }

  static async start(log: Log, some: Partial<StoreLimits>, keysAtOnce: number): Promise<Replica> {
    const kv = encodeState(initialState({ historyRevisionsMax: 8 }))
    const applied = { index: asIndex(FIRST - 1), term: asTerm(TERM), raft: new Uint8Array(), kv }
    const storage = await openDisk(
      memoryDisk({ hardState: hardState(TERM, FIRST - 1), applied }),
      undefined,
      {},
      some,
    )
    await store(
      storage,
      batch(hardState(TERM, FIRST - 1 + log.entries.length), [write({ entries: log.entries })]),
    )
    return new Replica(storage, log, keysAtOnce)
  }

  async live(each: Step): Promise<void> {
    switch (each.kind) {
      case 'apply':
        this.#push(each.entries)
        this.#applier.run(() => false, each.steps)
        await new Promise(setImmediate)
        break
      case 'open': {
        const options = {
          ...each,
          start: utf8(each.start),
          end: each.end === undefined ? undefined : utf8(each.end),
        }
        this.#open({ ...options, revision: undefined }, each.rowsMax, each.content)
        break
      }
      case 'read': {
        const scan = this.#scans[each.scan]
        await scan?.next()
        break
      }
      case 'finish':
        for (const scan of this.#scans.splice(each.scan, 1)) await expectAll(scan)
        break
      case 'close':
        for (const scan of this.#scans.splice(each.scan, 1)) {
          scan.close()
          scan.twin?.close()
        }
        break
      case 'store':
        await this.#store()
        break
      case 'install':
        await this.#install(each.ahead)
        break
    }
  }

  async end(): Promise<void> {
    await this.applyTo(this.#log.entries.length)
    for (const reverse of [false, true])
      for (const content of CONTENTS)
        this.#open({ start: utf8(''), end: undefined, reverse, revision: undefined }, 5, content)
    for (const scan of this.#scans) await expectAll(scan)
    this.#applier.clear()
    await closed(this.storage)
  }

  async applyTo(entries: number): Promise<void> {
    this.#push(entries - (this.storage.applied.index + 1 - FIRST) - this.#applier.queued)
    while (this.#applier.queued > 0) {
      this.#applier.run(() => false)
      await new Promise(setImmediate)
    }
  }

  #push(count: number): void {
    const from = this.storage.applied.index + 1 - FIRST + this.#applier.queued
    this.#applier.push(this.#log.entries.slice(from, from + Math.max(0, count)))
  }

  #open(options: RecordScanOptions, rowsMax: number, content: Read): void {
    if (this.#scans.length > 7) return
    const { start, end, reverse } = options
    const now = must(this.#log.contents[this.storage.applied.index + 1 - FIRST])
    const isInside = (name: string): boolean =>
      Buffer.compare(utf8(name), start) >= 0 && (end === undefined || Buffer.compare(utf8(name), end) < 0)
    const rows = [...now].filter(([name]) => isInside(name)).sort(([a], [b]) => (a < b ? -1 : 1))
    const expected = (reverse ? rows.toReversed() : rows).map(([name, value]) => `${name}=${value}`)
    const reading = this.#reading(options, rowsMax, content)
    const ofRecords = { records: undefined, metadata: metadataText, keys: versionText }[content]
    const twin = ofRecords && reads(new RecordScan(this.storage, options), 1000, ofRecords)
    this.#scans.push({ ...reading, expected, twin })
  }

  #reading(options: RecordScanOptions, rowsMax: number, content: Read): Reading {
    switch (content) {
      case 'records':
        return reads(new RecordScan(this.storage, options), rowsMax, textOf)
      case 'metadata':
        return reads(new MetadataScan(this.storage, options), rowsMax, (record) => {
          expect(record.value).toHaveLength(0)
          return metadataText(record)
        })
      case 'keys':
        return reads(new KeyScan(this.storage, options), rowsMax, ({ key, revision }) =>
          versionText({ key, modRevision: revision }),
        )
    }
  }

  async #install(ahead: number): Promise<void> {
    const entries = this.storage.applied.index + 1 - FIRST + ahead
    if (ahead === 0 || entries > this.#log.entries.length) return
    const sender = await Replica.start(this.#log, {}, 64)
    await sender.applyTo(entries)
    const source = sender.storage.snapshotSource()
    await stream(source, must(await sinkFor(this.storage, source)))
    this.#applier.clear()
    const snapshot = { meta: metaOf(source), snapshotId: source.id, keepLog: true }
    await store(this.storage, batch(this.#hardState, [write({ snapshot })]))
    this.#applier.reload()
    source.close()
    await sender.end()
  }

  get #hardState() {
    return hardState(TERM, FIRST - 1 + this.#log.entries.length)
  }

  async #store(): Promise<void> {
    do await store(this.storage, batch(this.#hardState))
    while (this.storage.rowsLeft)
  }
}

function reads<T>(scan: SlicedScan<T>, rowsMax: number, text: (item: T) => string): Reading {
  const shown: string[] = []
  const next = (): Promise<boolean> =>
    new Promise((resolve, reject) =>
      scan.next({ rowsMax, bytesMax: 1 << 20 }, (error, items, more) => {
        if (error !== undefined) return reject(error)
        shown.push(...items.map(text))
        resolve(more === true)
      }),
    )
  const finish = (): Promise<void> =>
    new Promise((resolve, reject) =>
      scan.finish((error) => (error === undefined ? resolve() : reject(error))),
    )
  return { next, finish, close: () => scan.close(), shown }
}

const nameOf = ({ key }: Pick<KeyRow, 'key'>): string => Buffer.from(key).toString()
const textOf = (record: KeyRow): string => `${nameOf(record)}=${Buffer.from(record.value).toString()}`
const versionText = (record: Pick<KeyRow, 'key' | 'modRevision'>): string =>
  `${nameOf(record)} at ${record.modRevision}`
const metadataText = (record: KeyRow): string =>
  `${versionText(record)}, version ${record.version} since ${record.createRevision}`

async function readAll({ next, finish }: Reading): Promise<void> {
  while (await next());
  await finish()
}

async function expectAll(open: OpenScan): Promise<void> {
  await readAll(open)
  if (open.twin === undefined) {
    expect(open.shown).toEqual(open.expected)
    return
  }
  await readAll(open.twin)
  expect(open.shown).toEqual(open.twin.shown)
  expect(open.shown).toHaveLength(open.expected.length)
}

test('a scan shows the keys of its instant, whatever ranges are known', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(written, { minLength: 1, maxLength: 40, size: 'max' }),
      fc.array(step, { maxLength: 60, size: 'max' }),
      limits,
      fc.constantFrom(0, 2, 64),
      async (all, steps, drawn, keysAtOnce) => {
        const replica = await Replica.start(logOf(all), drawn, keysAtOnce)
        for (const each of steps) await replica.live(each)
        await replica.end()
      },
    ),
    { numRuns: runs(200) },
  )
})
